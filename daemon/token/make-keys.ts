import pkcs11js from 'pkcs11js';
import { VaultError } from '../../primitives/errors.ts';
import type { SecretBytes } from '../../primitives/secret-bytes.ts';
import type { Template } from './attributes.ts';
import { keyLabel } from './key-sets.ts';
import { CKM, plain } from './mechanisms.ts';
import type { ReplicaLocation } from './replica.ts';
import type { KeyHandle, TokenSession } from './session.ts';
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

const purposes: readonly KekPurpose[] = ['oprf', 'auth', 'release'];

/** All keys that a rotation makes. Logs the user out and in again: handles of private objects that were found before are void. */
export function makeKeySet(session: TokenSession, options: MakeOptions, set: number, made: KeyHandle[]): void {
  const { profile } = options;
  const labelledKek = (purpose: KekPurpose) => ({ ...kekWithTemplate(purpose, profile), label: keyLabel(options, `kek-${purpose}`, set) });
  const [trusted, others] = [purposes.filter((each) => isTrusted(each, profile)), purposes.filter((each) => !isTrusted(each, profile))];
  makeTrustedKeks(session, options, trusted.map(labelledKek), made); // first: what was made before would not be found after its logins
  for (const purpose of others) made.push(session.generateKey(plain(CKM.AES_KEY_GEN), labelledKek(purpose)));
  makePair(session, 'session', options, set, made);
  made.push(session.generateKey(plain(CKM.GENERIC_SECRET_KEY_GEN), { ...macKey(profile), label: keyLabel(options, 'mac', set) }));
}

/**
 * CKA_TRUSTED may be set by the security officer only (PKCS#11 2.40 §4.4), who in turn has no access to private objects. So the officer
 * makes the keys as public *session* objects, which live in this process's memory and touch no disk, and the user, logging in while
 * the session stays open, copies them to private, unmodifiable token objects. The copy keeps TRUSTED and every other attribute.
 */
function makeTrustedKeks(session: TokenSession, options: MakeOptions, keks: readonly Template[], made: KeyHandle[]): void {
  const { profile, pin, soPin } = options;
  if (keks.length === 0) return;
  if (soPin === undefined)
    throw new VaultError(
      'CONFIG_INVALID',
      `Profile ${profile.vendor} has trusted KEKs, which only the security officer can make: give its PIN.`,
    );
  session.logout();
  session.login(pkcs11js.CKU_SO, soPin);
  const drafts = keks.map((kek) => session.generateKey(plain(CKM.AES_KEY_GEN), { ...kek, token: false, private: false, modifiable: true }));
  session.logout();
  session.login(profile.userType, pin);
  session.withTemporary((keep) => {
    for (const draft of drafts) made.push(session.copy(keep(draft), { token: true, private: true, modifiable: false }));
  });
}

export function makePair(session: TokenSession, name: 'session' | 'receipt', options: MakeOptions, set: number, made: KeyHandle[]): void {
  const { profile } = options;
  const label = keyLabel(options, name, set);
  const open = { ...publicKey(true, name === 'receipt'), label, modifiable: false };
  const secret = { ...(name === 'session' ? sessionKey(profile) : receiptKey(profile)), label };
  const pair = session.generateKeyPair(plain(CKM.EC_KEY_PAIR_GEN), open, secret);
  made.push(pair.publicKey, pair.privateKey);
}
