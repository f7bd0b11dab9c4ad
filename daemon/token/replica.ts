import pkcs11js from 'pkcs11js';
import { VaultError } from '../../primitives/errors.ts';
import type { SecretBytes } from '../../primitives/secret-bytes.ts';
import type { CompressedPoint } from '../../protocol/point.ts';
import { compressSec1 } from './curve.ts';
import { findSlot, type Module, openModule, tokenInfo } from './module.ts';
import type { TokenIdentity } from './port.ts';
import type { Profile } from './profile.ts';
import { type KeyHandle, TokenSession } from './session.ts';

/** Where a replica's keys are, and what opens them. */
export interface ReplicaLocation {
  readonly profile: Profile;
  /** Path of the PKCS#11 module. */
  readonly module: string;
  /** What the module wants to be told at C_Initialize (profile.ts). */
  readonly initParameters?: string | undefined;
  readonly tokenLabel: string;
  readonly fleet: string;
  readonly index: number;
}

export const keyNames = ['session', 'receipt', 'mac', 'kek-oprf', 'kek-auth', 'kek-release'] as const;
export type KeyName = (typeof keyNames)[number];

export const keyLabel = (location: Pick<ReplicaLocation, 'fleet' | 'index'>, name: KeyName): string =>
  `bkv/${location.fleet}/${location.index}/${name}`;

export const bootLabel = ({ fleet, index }: Pick<ReplicaLocation, 'fleet' | 'index'>): string => `bkv/${fleet}/${index}/boot`;

const classes: Record<KeyName, number> = {
  session: pkcs11js.CKO_PRIVATE_KEY,
  receipt: pkcs11js.CKO_PRIVATE_KEY,
  mac: pkcs11js.CKO_SECRET_KEY,
  'kek-oprf': pkcs11js.CKO_SECRET_KEY,
  'kek-auth': pkcs11js.CKO_SECRET_KEY,
  'kek-release': pkcs11js.CKO_SECRET_KEY,
};

/** An open session on a replica's token, and its keys. */
export interface ReplicaToken {
  readonly module: Module;
  readonly session: TokenSession;
  readonly profile: Profile;
  readonly keys: Record<KeyName, KeyHandle>;
  /** Of the data object that says who served last. */
  readonly bootLabel: string;
  readonly identity: TokenIdentity;
}

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
    const keys = Object.fromEntries(keyNames.map((name) => [name, findKey(session, location, name)])) as Record<KeyName, KeyHandle>;
    const { label: _label, ...token } = tokenInfo(module, slot);
    const identity = {
      ...token,
      sessionKey: findPublicKey(session, location, 'session'),
      receiptKey: findPublicKey(session, location, 'receipt'),
    };
    return { module, session, profile: location.profile, keys, bootLabel: bootLabel(location), identity };
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

const findKey = (session: TokenSession, location: ReplicaLocation, name: KeyName): KeyHandle =>
  session.findOne({ class: classes[name], label: keyLabel(location, name) }, `key ${keyLabel(location, name)}`);

function findPublicKey(session: TokenSession, location: ReplicaLocation, name: 'session' | 'receipt'): CompressedPoint {
  const label = keyLabel(location, name);
  return readPoint(session, session.findOne({ class: pkcs11js.CKO_PUBLIC_KEY, label }, `public key ${label}`), location.profile);
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
