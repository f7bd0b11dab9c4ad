import { randomBytes } from 'node:crypto';
import { VaultError } from '../../../primitives/errors.ts';
import { bootObject } from '../boot-record.ts';
import { FIRST_SET, type KeyName, keyLabel, keyNames, type PairName, pairNames } from '../keys/key-sets.ts';
import { makeKey } from '../keys/make-keys.ts';
import { readPoint } from '../keys/public-point.ts';
import { bootLabel, type ReplicaToken } from '../keys/replica.ts';
import { type Module, type SlotId, tokenInfo } from '../pkcs11/module.ts';
import type { KeyHandle, TokenSession } from '../pkcs11/session.ts';
import type { Profile } from '../profile.ts';
import { HOST_LABEL } from './host-keys.ts';

/** Whose the probe's own token objects are: no fleet can have this name. */
export const owner = { fleet: 'hsm probe', index: 0 } as const;

/** In memory only, or in the token, where a device makes no others. */
export type Kept = 'session' | 'token';

/** A replica's keys as provisioning makes them, but as objects of this session, or under the probe's label. */
export function makeTrialKeys(module: Module, slot: SlotId, session: TokenSession, profile: Profile, kept: Kept): ReplicaToken {
  const made = Object.fromEntries(keyNames.map((name) => [name, makeTrialKey(session, profile, name, kept)])) as Record<
    KeyName,
    KeyHandle[]
  >;
  const keys = Object.fromEntries(keyNames.map((name) => [name, made[name][0]])) as ReplicaToken['keys'];
  const [oprfKey, releaseKey, receiptKey] = pairNames.map((name) =>
    readPoint(session, publicHalf(made, name), profile, `the ${name} key`),
  ) as [ReplicaToken['identity']['oprfKey'], ReplicaToken['identity']['oprfKey'], ReplicaToken['identity']['oprfKey']];
  const { label: _label, ...info } = tokenInfo(module, slot);
  const identity = { ...info, oprfKey, releaseKey, receiptKey, keySets: [FIRST_SET] };
  return { ...owner, module, session, profile, epoch: FIRST_SET, set: FIRST_SET, keys, older: [], identity };
}

const makeTrialKey = (session: TokenSession, profile: Profile, name: KeyName, kept: Kept): KeyHandle[] =>
  makeKey(session, profile, name, kept === 'token' ? { token: true, label: keyLabel(owner, name, FIRST_SET) } : { token: false });

function publicHalf(made: Record<KeyName, KeyHandle[]>, name: PairName): KeyHandle {
  const [, half] = made[name];
  if (half === undefined) throw new VaultError('TOKEN_FAULT', `The token made no public half of the ${name} key.`);
  return half;
}

/** All that a replica has in its token, under the probe's label. */
export function makeTokenObjects(session: TokenSession, profile: Profile): void {
  for (const name of keyNames) makeTrialKey(session, profile, name, 'token');
  // Not the zeros that a replica begins with: NSS softokn takes two keys of one CKA_ID for one.
  session.create(bootObject(profile, bootLabel(owner), randomBytes(32)));
}

/** Destroys what carries the probe's label, and says how many there were: of this run, or of one that was cut off. */
export function sweep(session: TokenSession): number {
  const labels = [...keyNames.map((name) => keyLabel(owner, name, FIRST_SET)), bootLabel(owner), HOST_LABEL];
  const found = labels.flatMap((label) => session.find({ label, token: true }, MOST_OBJECTS));
  for (const object of found) session.destroy(object);
  return found.length;
}

const MOST_OBJECTS = 1000;
