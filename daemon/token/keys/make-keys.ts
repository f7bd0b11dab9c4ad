import type { SecretBytes } from '../../../primitives/secret-bytes.ts';
import type { Template } from '../pkcs11/attributes.ts';
import { CKM, plain } from '../pkcs11/mechanisms.ts';
import type { KeyHandle, TokenSession } from '../pkcs11/session.ts';
import type { Profile } from '../profile.ts';
import { explained } from './explain-refusal.ts';
import { type KeyName, keyLabel, rotatedNames } from './key-sets.ts';
import type { ReplicaLocation } from './replica.ts';
import { keyTemplates, publicKey, spoken } from './templates.ts';

export interface MakeOptions extends ReplicaLocation {
  readonly pin: SecretBytes;
}

/** Runs `make`, which tells each object that it made in the token; if it throws, they are destroyed again. */
export function allOrNothing(session: TokenSession, make: (made: KeyHandle[]) => void): void {
  const made: KeyHandle[] = [];
  try {
    make(made);
  } catch (error) {
    destroyQuietly(session, made);
    throw error;
  }
}

/** What failed before is the error to report. */
export function destroyQuietly(session: TokenSession, objects: readonly KeyHandle[]): void {
  for (const object of objects) {
    try {
      session.destroy(object);
    } catch {
      // Provisioning refuses what is still there.
    }
  }
}

/** All keys that a rotation makes. */
export function makeKeySet(session: TokenSession, options: MakeOptions, set: number, made: KeyHandle[]): void {
  for (const name of rotatedNames) made.push(...makeOwn(session, options, name, set));
}

/** One of the replica's keys, in its token: the key, then its public half. */
export const makeOwn = (session: TokenSession, options: MakeOptions, name: KeyName, set: number): KeyHandle[] =>
  makeKey(session, options.profile, name, { token: true, label: keyLabel(options, name, set) });

/**
 * A key as it is made for a replica, but for `changes`: `token: false` is for trying. Of a pair the private half comes first. Where the token
 * refuses, the error says what of it, and which field of the profile would help.
 */
export function makeKey(session: TokenSession, profile: Profile, name: KeyName, changes: Template): KeyHandle[] {
  const kind = name === 'mac' ? 'secretKey' : 'privateKey';
  const own = { kind, template: spoken(kind, profile, { ...keyTemplates[name](profile), ...changes }) } as const;
  if (name === 'mac')
    return explained(session, {
      what: 'the MAC key',
      mechanismField: 'hmac.generate',
      asked: [own],
      make: ([template = {}]) => [session.generateKey(plain(profile.hmac.generate), template)],
    });
  const { token = true, label } = changes;
  const open = { ...publicKey(profile, { token, verify: name === 'receipt' }), ...(label === undefined ? {} : { label }) };
  return explained(session, {
    what: `the ${name} key`,
    mechanismField: undefined,
    asked: [own, { kind: 'publicKey', template: open }],
    make: ([ofPrivate = {}, ofPublic = {}]) => {
      const pair = session.generateKeyPair(plain(CKM.EC_KEY_PAIR_GEN), ofPublic, ofPrivate);
      return [pair.privateKey, pair.publicKey];
    },
  });
}
