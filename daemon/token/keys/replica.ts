import pkcs11js from 'pkcs11js';
import { constantTimeEqual } from '../../../primitives/bytes.ts';
import { VaultError } from '../../../primitives/errors.ts';
import type { SecretBytes } from '../../../primitives/secret-bytes.ts';
import type { CompressedPoint } from '../../../protocol/point.ts';
import { xOf } from '../../../protocol/x-coordinate.ts';
import { findSlot, type Module, type ModulePlace, openModule, tokenInfo } from '../pkcs11/module.ts';
import { type KeyHandle, TokenSession } from '../pkcs11/session.ts';
import type { TokenIdentity } from '../port.ts';
import type { Profile } from '../profile.ts';
import {
  FIRST_SET,
  findKeySets,
  inForce,
  type KeyName,
  type KeyOwner,
  keyClasses,
  keyLabel,
  keyNames,
  keysOf,
  type PairName,
  type RotatedKeys,
} from './key-sets.ts';
import { readPoint } from './public-point.ts';

/** Where a replica's keys are, and what opens them. */
export interface ReplicaLocation extends KeyOwner, ModulePlace {
  readonly profile: Profile;
  readonly tokenLabel: string;
  /** Of the statement that is served, or made: says which keys are in force. Those of a later one are not looked at. */
  readonly epoch: number;
}

export const bootLabel = ({ fleet, index }: KeyOwner): string => `bkv/${fleet}/${index}/boot`;

/** An open session on a replica's token, and its keys. */
export interface ReplicaToken extends KeyOwner {
  readonly module: Module;
  readonly session: TokenSession;
  readonly profile: Profile;
  /** Of the statement that is served. */
  readonly epoch: number;
  /** Number of the set in force (key-sets.ts). */
  readonly set: number;
  /** Those in force; in what `asOf` gives, all but the receipt key are of an older set. */
  readonly keys: Readonly<Record<KeyName, KeyHandle>>;
  /** The sets before, by number, ascending. Without keys where some are gone. */
  readonly older: readonly { readonly number: number; readonly keys: RotatedKeys | undefined }[];
  readonly identity: TokenIdentity;
}

/** Of which no more than keys of these names are asked. */
export type TokenWith<Name extends KeyName> = Pick<ReplicaToken, 'session' | 'profile'> & {
  readonly keys: Readonly<Record<Name, KeyHandle>>;
};

/** Loads the module, logs in, finds every key. Throws MODULE_MISSING, TOKEN_MISSING, PIN_REFUSED, KEY_MISSING, TOKEN_UNFIT. */
export const openReplica = (location: ReplicaLocation, pin: SecretBytes): ReplicaToken =>
  openReplicaIn(openModule(location), location, pin);

/** The same in a module that is open. Without a PIN another session has to have logged in: TOKEN_UNAVAILABLE. */
export function openReplicaIn(module: Module, location: ReplicaLocation, pin: SecretBytes | undefined): ReplicaToken {
  const { profile, fleet, index, epoch } = location;
  const slot = findSlot(module, location.tokenLabel);
  const session = new TokenSession(module, slot);
  try {
    if (pin) session.login(profile.userType, pin);
    else session.requireLogin();
    const sets = findKeySets(session, location);
    const set = inForce(sets, epoch)?.number ?? FIRST_SET;
    const keys = Object.fromEntries(keyNames.map((name) => [name, findKey(session, location, name, set)])) as ReplicaToken['keys'];
    const older = sets.filter(({ number }) => number < set).map((each) => ({ number: each.number, keys: keysOf(each) }));
    const { label: _label, ...token } = tokenInfo(module, slot);
    const identity = {
      ...token,
      oprfKey: findPublicKey(session, location, 'oprf', set),
      releaseKey: findPublicKey(session, location, 'release', set),
      receiptKey: findPublicKey(session, location, 'receipt', set),
      keySets: [...older.filter((each) => each.keys).map(({ number }) => number), set],
    };
    requireApart(identity);
    return { module, session, profile, fleet, index, epoch, set, keys, older, identity };
  } catch (error) {
    closeQuietly(session);
    throw error;
  }
}

/** For a session that may be gone already. */
export function closeQuietly(session: TokenSession): void {
  try {
    session.close();
  } catch {
    // Then it is.
  }
}

function findKey(session: TokenSession, location: ReplicaLocation, name: KeyName, set: number): KeyHandle {
  const label = keyLabel(location, name, set);
  return session.findOne({ class: keyClasses[name], label }, `key ${label}`);
}

function findPublicKey(session: TokenSession, location: ReplicaLocation, name: PairName, set: number): CompressedPoint {
  const label = keyLabel(location, name, set);
  return readPoint(session, session.findOne({ class: pkcs11js.CKO_PUBLIC_KEY, label }, `public key ${label}`), location.profile, label);
}

/**
 * By x, since a key derives what its negative derives. An evaluation is counted and a release is not, so they need a key each; and a receipt
 * key that derives would be a second oracle on what it signs with.
 */
function requireApart({ oprfKey, releaseKey, receiptKey }: TokenIdentity): void {
  const [k, r, v] = [xOf(oprfKey), xOf(releaseKey), xOf(receiptKey)];
  if (constantTimeEqual(k, r) || constantTimeEqual(k, v) || constantTimeEqual(r, v))
    throw new VaultError('TOKEN_UNFIT', 'Two of OPRF key, release key and receipt key are the same, or one is the negative of another.');
}

/** The token with the keys that stored what is of `epoch`, for reading it. Throws KEY_MISSING once they were destroyed. */
export function asOf(token: ReplicaToken, epoch: number): ReplicaToken {
  if (epoch >= token.set) return token;
  const keys = inForce(token.older, epoch)?.keys;
  if (keys === undefined)
    throw new VaultError('KEY_MISSING', `The keys that stored what is of epoch ${epoch} are not in the token any more: enrol it again.`);
  return { ...token, keys: { ...token.keys, ...keys } };
}
