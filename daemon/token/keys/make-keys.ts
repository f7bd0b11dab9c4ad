import pkcs11js from 'pkcs11js';
import type { Bytes } from '../../../primitives/bytes.ts';
import { VaultError } from '../../../primitives/errors.ts';
import type { SecretBytes } from '../../../primitives/secret-bytes.ts';
import type { Template } from '../pkcs11/attributes.ts';
import { CKM, oaep, plain } from '../pkcs11/mechanisms.ts';
import type { KeyHandle, TokenSession } from '../pkcs11/session.ts';
import { type Heir, WRAPPED_LENGTH, type WrappedKeys } from './heir-files.ts';
import { heirWrappingKey } from './heir-templates.ts';
import { keyLabel, lineageId, type StorageName } from './key-sets.ts';
import type { ReplicaLocation } from './replica.ts';
import { isTrusted, type KekPurpose, kekWithTemplate, macKey, publicKey, receiptKey, sessionKey } from './templates.ts';

export interface MakeOptions extends ReplicaLocation {
  readonly pin: SecretBytes;
  /** The security officer's. Needed where the profile has trusted KEKs. */
  readonly soPin?: SecretBytes;
}

/** Runs `make`, which tells each object that it made in the token; if it throws, they are destroyed again. */
export function allOrNothing(session: TokenSession, make: (made: KeyHandle[]) => void): void {
  const made: KeyHandle[] = [];
  try {
    make(made);
  } catch (error) {
    for (const key of made) {
      try {
        session.destroy(key);
      } catch {
        // What failed before is the error to report.
      }
    }
    throw error;
  }
}

/** A key that stores, to be made. */
interface Planned {
  readonly name: StorageName;
  readonly mechanism: number;
  readonly template: Template;
  /** In memory, to be copied into the token: trusted KEKs, and keys that an heir is given. */
  readonly draft: Template;
  readonly trusted: boolean;
}

interface Draft {
  readonly name: StorageName;
  readonly key: KeyHandle;
}

const purposes: readonly KekPurpose[] = ['oprf', 'auth', 'release'];

/** All keys that a rotation makes. Logs the user out and in again: handles of private objects that were found before are void. */
export const makeKeySet = (session: TokenSession, options: MakeOptions, set: number, made: KeyHandle[]): void => {
  makeKeys(session, options, set, made);
};

/** The same. Returns the keys that store, wrapped for the heir: they can be once, before they are what they stay. */
export const bequeathKeySet = (session: TokenSession, options: MakeOptions, set: number, made: KeyHandle[], heir: Heir): WrappedKeys =>
  Object.fromEntries(makeKeys(session, options, set, made, heir)) as WrappedKeys;

function makeKeys(session: TokenSession, options: MakeOptions, set: number, made: KeyHandle[], heir?: Heir): [StorageName, Bytes][] {
  const planned = planKeys(options, set, heir);
  const [trusted, others] = [planned.filter((each) => each.trusted), planned.filter((each) => !each.trusted)];
  const wrapped = session.withTemporary((keep) => {
    // First: what was made before would not be found after its logins.
    const drafts = draftTrustedKeks(session, options, trusted, keep);
    for (const { name, mechanism, template, draft } of others)
      if (heir) drafts.push({ name, key: keep(session.generateKey(plain(mechanism), draft)) });
      else made.push(session.generateKey(plain(mechanism), template));
    const forHeir = heir ? wrapAll(session, drafts, keep(session.create(heirWrappingKey(heir.modulus)))) : [];
    for (const { key } of drafts)
      made.push(session.copy(key, { token: true, private: true, ...(heir ? { extractable: false } : {}), modifiable: false }));
    return forHeir;
  });
  makePair(session, 'session', options, set, made);
  return wrapped;
}

function planKeys(options: MakeOptions, set: number, heir: Heir | undefined): Planned[] {
  const { profile } = options;
  const plan = (name: StorageName, mechanism: number, original: Template, trusted = false): Planned => {
    const mark = heir ? { id: lineageId('bequeathed', name, set, heir.hash) } : {};
    const template = { ...original, label: keyLabel(options, name, set), ...mark };
    return { name, mechanism, template, draft: { ...template, token: false, extractable: heir !== undefined, modifiable: true }, trusted };
  };
  return [
    ...purposes.map((purpose) => plan(`kek-${purpose}`, CKM.AES_KEY_GEN, kekWithTemplate(purpose, profile), isTrusted(purpose, profile))),
    plan('mac', CKM.GENERIC_SECRET_KEY_GEN, macKey(profile)),
  ];
}

const wrapAll = (session: TokenSession, drafts: readonly Draft[], heirKey: KeyHandle): [StorageName, Bytes][] =>
  drafts.map(({ name, key }) => [name, session.wrap(oaep(), heirKey, key, WRAPPED_LENGTH)]);

/**
 * CKA_TRUSTED may be set by the security officer only (PKCS#11 2.40 §4.4), who in turn has no access to private objects. So the officer
 * makes the keys as public *session* objects, which live in this process's memory and touch no disk, and the user, logging in while
 * the session stays open, copies them to private, unmodifiable token objects. The copy keeps TRUSTED and every other attribute.
 */
function draftTrustedKeks(
  session: TokenSession,
  options: MakeOptions,
  keks: readonly Planned[],
  keep: (key: KeyHandle) => KeyHandle,
): Draft[] {
  const { profile, pin, soPin } = options;
  if (keks.length === 0) return [];
  if (soPin === undefined)
    throw new VaultError(
      'CONFIG_INVALID',
      `Profile ${profile.vendor} has trusted KEKs, which only the security officer can make: give its PIN.`,
    );
  session.logout();
  session.login(pkcs11js.CKU_SO, soPin);
  const drafts = keks.map(({ name, mechanism, draft }) => ({
    name,
    key: keep(session.generateKey(plain(mechanism), { ...draft, private: false })),
  }));
  session.logout();
  session.login(profile.userType, pin);
  return drafts;
}

export function makePair(session: TokenSession, name: 'session' | 'receipt', options: MakeOptions, set: number, made: KeyHandle[]): void {
  const { profile } = options;
  const label = keyLabel(options, name, set);
  const open = { ...publicKey(true, name === 'receipt'), label, modifiable: false };
  const secret = { ...(name === 'session' ? sessionKey(profile) : receiptKey(profile)), label };
  const pair = session.generateKeyPair(plain(CKM.EC_KEY_PAIR_GEN), open, secret);
  made.push(pair.publicKey, pair.privateKey);
}
