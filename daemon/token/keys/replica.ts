import pkcs11js from 'pkcs11js';
import { VaultError } from '../../../primitives/errors.ts';
import type { SecretBytes } from '../../../primitives/secret-bytes.ts';
import type { CompressedPoint } from '../../../protocol/point.ts';
import { compressSec1 } from '../curve.ts';
import { findSlot, type Module, openModule, tokenInfo } from '../pkcs11/module.ts';
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
  type StorageKeys,
  type StorageName,
  storageKeysOf,
} from './key-sets.ts';

/** Where a replica's keys are, and what opens them. */
export interface ReplicaLocation extends KeyOwner {
  readonly profile: Profile;
  /** Path of the PKCS#11 module. */
  readonly module: string;
  /** What the module wants to be told at C_Initialize (profile.ts). */
  readonly initParameters?: string | undefined;
  readonly tokenLabel: string;
  /** Of the statement that is served, or made: says which keys are in force. Those of a later one are not looked at. */
  readonly epoch: number;
}

export const bootLabel = ({ fleet, index }: KeyOwner): string => `bkv/${fleet}/${index}/boot`;

/** An open session on a replica's token, and its keys. */
export interface ReplicaToken {
  readonly module: Module;
  readonly session: TokenSession;
  readonly profile: Profile;
  /** Number of the set in force (key-sets.ts). */
  readonly set: number;
  /** Those in force; in what `asOf` gives, those that store are of an older set. */
  readonly keys: Readonly<Record<KeyName, KeyHandle>>;
  /** The sets before, by number, ascending. Without keys where some are gone. */
  readonly older: readonly { readonly number: number; readonly keys: StorageKeys | undefined }[];
  /** Of the data object that says who served last. */
  readonly bootLabel: string;
  readonly identity: TokenIdentity;
}

/** Of which no more than keys of these names are asked. */
export type TokenWith<Name extends KeyName> = Pick<ReplicaToken, 'session' | 'profile'> & {
  readonly keys: Readonly<Record<Name, KeyHandle>>;
};

/** What storing and reading takes: inherited keys have no replica around them. */
export type StorageToken = TokenWith<StorageName>;

/** Loads the module, logs in, finds every key. Throws MODULE_MISSING, TOKEN_MISSING, PIN_REFUSED, KEY_MISSING. */
export const openReplica = (location: ReplicaLocation, pin: SecretBytes): ReplicaToken =>
  openReplicaIn(openModule(location.module, location.initParameters), location, pin);

/** The same in a module that is open. Without a PIN another session has to have logged in: TOKEN_UNAVAILABLE. */
export function openReplicaIn(module: Module, location: ReplicaLocation, pin: SecretBytes | undefined): ReplicaToken {
  const slot = findSlot(module, location.tokenLabel);
  const session = new TokenSession(module, slot);
  try {
    if (pin) session.login(location.profile.userType, pin);
    else session.requireLogin();
    const sets = findKeySets(session, location);
    const set = inForce(sets, location.epoch)?.number ?? FIRST_SET;
    const keys = Object.fromEntries(keyNames.map((name) => [name, findKey(session, location, name, set)])) as ReplicaToken['keys'];
    const older = sets.filter(({ number }) => number < set).map((each) => ({ number: each.number, keys: storageKeysOf(each) }));
    const { label: _label, ...token } = tokenInfo(module, slot);
    const identity = {
      ...token,
      sessionKey: findPublicKey(session, location, 'session', set),
      receiptKey: findPublicKey(session, location, 'receipt', set),
      keySets: [...older.filter((each) => each.keys).map(({ number }) => number), set],
    };
    return { module, session, profile: location.profile, set, keys, older, bootLabel: bootLabel(location), identity };
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

function findPublicKey(session: TokenSession, location: ReplicaLocation, name: 'session' | 'receipt', set: number): CompressedPoint {
  const label = keyLabel(location, name, set);
  return readPoint(session, session.findOne({ class: pkcs11js.CKO_PUBLIC_KEY, label }, `public key ${label}`), location.profile);
}

/** The token with the keys that stored what is of `epoch`, for reading it. Throws KEY_MISSING once they were destroyed. */
export function asOf(token: ReplicaToken, epoch: number): ReplicaToken {
  if (epoch >= token.set) return token;
  const keys = inForce(token.older, epoch)?.keys;
  if (keys === undefined)
    throw new VaultError('KEY_MISSING', `The keys that stored what is of epoch ${epoch} are not in the token any more: enrol it again.`);
  return { ...token, keys: { ...token.keys, ...keys } };
}

/** The point of a public key object. */
export function readPoint(session: TokenSession, publicKey: KeyHandle, profile: Profile): CompressedPoint {
  const value = session.read(publicKey, 'ecPoint');
  // DER: OCTET STRING (04) of 65 (41) bytes
  const isDer = value?.length === 67 && value[0] === 0x04 && value[1] === 0x41;
  const point = profile.ecPoint === 'der' ? (isDer ? value.subarray(2) : undefined) : value;
  if (point === undefined)
    throw new VaultError('TOKEN_FAULT', `The token’s CKA_EC_POINT is not in the form that profile ${profile.vendor} states.`);
  return compressSec1(point, 'A public key of the token');
}
