import pkcs11js from 'pkcs11js';
import type { TokenWith } from '../keys/replica.ts';
import { newOprfKey, noUse, opened, publicKey, throwAwayKey } from '../keys/templates.ts';
import type { Template } from '../pkcs11/attributes.ts';
import { CKM, cbc, cbcPadded, type Mechanism, plain } from '../pkcs11/mechanisms.ts';
import type { KeyHandle } from '../pkcs11/session.ts';
import type { Profile } from '../profile.ts';
import type { Keep, Way } from './probe.ts';

// What a hostile host has of its own: keys to wrap others with, and keys that nothing protects, to see that a call works at all.

/** Needs no key of the replica's. */
type AnyToken = TokenWith<never>;

type Make<Token = AnyToken> = (token: Token, keep: Keep) => KeyHandle;

const importedKey: Template = {
  class: pkcs11js.CKO_SECRET_KEY,
  keyType: pkcs11js.CKK_AES,
  value: new Uint8Array(32),
  token: false,
  private: true,
  wrap: true,
};

/** Its value is known to whoever imports it; a token in a FIPS mode may take none. `changes` are for asking more of it. */
export const importKey = ({ session }: AnyToken, keep: Keep, changes: Template = {}): KeyHandle =>
  keep(session.create({ ...importedKey, ...changes }));

/** What it wraps it decrypts: as good as a value that is known. */
export const generateKey = ({ session }: AnyToken, keep: Keep, changes: Template = {}): KeyHandle =>
  keep(session.generateKey(plain(CKM.AES_KEY_GEN), { ...throwAwayKey, ...changes }));

/** Where a token gives no key both uses. What is wrapped by it might be wrapped by one that the host knows. */
const generateWrappingKey: Make = (token, keep) => generateKey(token, keep, { decrypt: false });

const wrappingKeys: readonly Make[] = [importKey, generateKey, generateWrappingKey];

/** By which a host may wrap: those of the profile, and what tokens of old wrap private keys with. */
export const wrapMechanisms = ({ wrap }: Profile): Mechanism[] => [
  ...[...new Set([wrap.ecPrivateKey, wrap.secret])].map(plain),
  cbc(),
  cbcPadded(),
];

export const WRAPPED_MAX = 256;

/** Every way to wrap `target`, once `unprotected`, which is of the same kind, was wrapped so. */
export const wrapWays =
  <Token extends AnyToken>(target: Make<Token>, unprotected: Make) =>
  (profile: Profile): Way<Token>[] =>
    wrappingKeys.flatMap((make) =>
      wrapMechanisms(profile).map(
        (mechanism): Way<Token> =>
          (token, keep) => {
            const wrappingKey = make(token, keep);
            const wrap = (key: KeyHandle) => token.session.wrap(mechanism, wrappingKey, key, WRAPPED_MAX);
            wrap(unprotected(token, keep));
            const key = target(token, keep);
            return () => wrap(key);
          },
      ),
    );

/** An OPRF key as it is born; with a profile without trust, wrapped by anything. */
export function bornOprfKey({ session }: AnyToken, keep: Keep, profile: Profile): KeyHandle {
  const pair = session.generateKeyPair(plain(CKM.EC_KEY_PAIR_GEN), publicKey(false, false), newOprfKey(profile));
  keep(pair.publicKey);
  return keep(pair.privateKey);
}

/** A secret as `openSealed` leaves it. */
export const openedSecret = ({ session, profile }: AnyToken, purpose: 'auth' | 'release'): KeyHandle =>
  session.generateKey(plain(CKM.GENERIC_SECRET_KEY_GEN), { ...opened(purpose, profile), valueLength: 32 });

const ecKey: Make = (token, keep) => bornOprfKey(token, keep, { ...token.profile, trusted: 'none' });
const secret: Make = (token, keep) => keep(openedSecret(token, 'release')); // which has to leave
const aesKey: Make = (token, keep) => generateKey(token, keep, { ...noUse, extractable: true });

/** Keys of the kinds that the vault has, which nothing protects. */
export const unprotected = { ecKey, secret, aesKey } as const;

/** A key for all that a KEK must not do. */
export const cipherKey: Make = (token, keep) => generateKey(token, keep, { ...noUse, encrypt: true, decrypt: true });
