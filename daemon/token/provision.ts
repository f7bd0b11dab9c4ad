import pkcs11js from 'pkcs11js';
import { VaultError } from '../../primitives/errors.ts';
import type { SecretBytes } from '../../primitives/secret-bytes.ts';
import type { Template } from './attributes.ts';
import { bootObject } from './boot-record.ts';
import { inspectModule, requireMechanisms } from './inspect.ts';
import { type KeyRecord, readKeys } from './key-record.ts';
import { CKM, plain } from './mechanisms.ts';
import { finalise, findSlot, openModule } from './module.ts';
import type { TokenIdentity } from './port.ts';
import { bootLabel, keyLabel, keyNames, openReplica, type ReplicaLocation } from './replica.ts';
import { type KeyHandle, TokenSession } from './session.ts';
import { isTrusted, type KekPurpose, kekWithTemplate, macKey, publicKey, receiptKey, sessionKey } from './templates.ts';

export interface Provisioned {
  readonly identity: TokenIdentity;
  /** Each key as the token describes it: for the fleet statement. */
  readonly keys: readonly KeyRecord[];
  /** What the token says it can do, by number, ascending. */
  readonly mechanisms: readonly number[];
}

export interface ProvisionOptions extends ReplicaLocation {
  readonly pin: SecretBytes;
  /** The security officer's. Needed where the profile has trusted KEKs. */
  readonly soPin?: SecretBytes;
}

/**
 * Makes a replica's keys in its token, or none. Refuses if any exists. Not for a process that serves: it logs the application in and
 * out, and finalises the module.
 */
export function provisionReplica(options: ProvisionOptions): Provisioned {
  const slot = inspectModule(options.module, options.initParameters).slots.find(({ label }) => label === options.tokenLabel);
  if (slot !== undefined) requireMechanisms(slot, options.profile);
  const module = openModule(options.module, options.initParameters);
  try {
    const session = new TokenSession(module, findSlot(module, options.tokenLabel));
    session.login(options.profile.userType, options.pin);
    requireNoKeys(session, options);
    const made: KeyHandle[] = [];
    try {
      // First: handles of private objects end with the user's login, and these need the officer's in between.
      made.push(...makeTrustedKeks(session, options));
      makeOtherKeys(session, options, made);
    } catch (error) {
      undo(session, made);
      throw error;
    }
    session.close();
    return describe(options, options.pin, slot?.mechanisms ?? []);
  } finally {
    finalise(module);
  }
}

/** A replica's keys that were made before, as their token describes them now. Throws KEY_MISSING. Not for a process that serves. */
export function readReplica(location: ReplicaLocation, pin: SecretBytes): Provisioned {
  const slot = inspectModule(location.module, location.initParameters).slots.find(({ label }) => label === location.tokenLabel);
  const module = openModule(location.module, location.initParameters);
  try {
    return describe(location, pin, slot?.mechanisms ?? []);
  } finally {
    finalise(module);
  }
}

/** Opened as the daemon opens it: what is reported is what will be found. */
function describe(location: ReplicaLocation, pin: SecretBytes, mechanisms: readonly number[]): Provisioned {
  const replica = openReplica(location, pin);
  return { identity: replica.identity, keys: readKeys(replica), mechanisms };
}

function requireNoKeys(session: TokenSession, location: ReplicaLocation): void {
  for (const label of [...keyNames.map((name) => keyLabel(location, name)), bootLabel(location)])
    if (session.find({ label }, 1).length > 0)
      throw new VaultError('CONFIG_INVALID', `The token holds ${label} already: nothing was made. A replica’s keys are made once.`);
}

const purposes: readonly KekPurpose[] = ['oprf', 'auth', 'release'];

const labelledKek = (purpose: KekPurpose, options: ProvisionOptions): Template => ({
  ...kekWithTemplate(purpose, options.profile),
  label: keyLabel(options, `kek-${purpose}`),
});

/**
 * CKA_TRUSTED may be set by the security officer only (PKCS#11 2.40 §4.4), who in turn has no access to private objects. So the officer
 * makes the keys as public *session* objects, which live in this process's memory and touch no disk, and the user, logging in while
 * the session stays open, copies them to private, unmodifiable token objects. The copy keeps TRUSTED and every other attribute.
 */
function makeTrustedKeks(session: TokenSession, options: ProvisionOptions): KeyHandle[] {
  const { profile, pin, soPin } = options;
  const trusted = purposes.filter((purpose) => isTrusted(purpose, profile));
  if (trusted.length === 0) return [];
  if (soPin === undefined)
    throw new VaultError(
      'CONFIG_INVALID',
      `Profile ${profile.vendor} has trusted KEKs, which only the security officer can make: give its PIN.`,
    );
  session.logout();
  session.login(pkcs11js.CKU_SO, soPin);
  const drafts = trusted.map((purpose) =>
    session.generateKey(plain(CKM.AES_KEY_GEN), { ...labelledKek(purpose, options), token: false, private: false, modifiable: true }),
  );
  session.logout();
  session.login(profile.userType, pin);
  return session.withTemporary((keep) =>
    drafts.map((draft) => session.copy(keep(draft), { token: true, private: true, modifiable: false })),
  );
}

function makeOtherKeys(session: TokenSession, options: ProvisionOptions, made: KeyHandle[]): void {
  const { profile } = options;
  for (const purpose of purposes.filter((name) => !isTrusted(name, profile)))
    made.push(session.generateKey(plain(CKM.AES_KEY_GEN), labelledKek(purpose, options)));
  for (const name of ['session', 'receipt'] as const) {
    const label = keyLabel(options, name);
    const open = { ...publicKey(true, name === 'receipt'), label, modifiable: false };
    const secret = { ...(name === 'session' ? sessionKey(profile) : receiptKey(profile)), label };
    const pair = session.generateKeyPair(plain(CKM.EC_KEY_PAIR_GEN), open, secret);
    made.push(pair.publicKey, pair.privateKey);
  }
  made.push(session.generateKey(plain(CKM.GENERIC_SECRET_KEY_GEN), { ...macKey(profile), label: keyLabel(options, 'mac') }));
  made.push(session.create(bootObject(profile.bootRecord, bootLabel(options))));
}

function undo(session: TokenSession, made: readonly KeyHandle[]): void {
  for (const key of made) {
    try {
      session.destroy(key);
    } catch {
      // What failed before is the error to report; a key left over is refused, by name, the next time.
    }
  }
}
