import pkcs11js from 'pkcs11js';
import { fixed, type Template } from '../pkcs11/attributes.ts';
import { CKM } from '../pkcs11/mechanisms.ts';
import { nestedTemplate } from '../pkcs11/nested.ts';
import type { Profile } from '../profile.ts';

/**
 * Every attribute of every key, and why. Private everywhere: SoftHSM keeps public objects in clear on its disk, and other tokens show
 * them without a PIN. Uses are all written out, since tokens differ in what they allow by default (SoftHSM: decrypt, after an unwrap).
 */
export const noUse = {
  encrypt: false,
  decrypt: false,
  sign: false,
  verify: false,
  wrap: false,
  unwrap: false,
  derive: false,
} as const;

// A private key has no ENCRYPT, VERIFY or WRAP.
export const noPrivateUse = { decrypt: false, sign: false, unwrap: false, derive: false } as const;

// OBJECT IDENTIFIER 1.2.840.10045.3.1.7 (prime256v1), DER
const P256 = Uint8Array.of(0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07);

// OBJECT IDENTIFIER 1.3.101.112 (Ed25519, RFC 8410 §3), DER. PKCS#11 3.0 allows a curve's name as well; SoftHSM takes the OID only.
const ED25519 = Uint8Array.of(0x06, 0x03, 0x2b, 0x65, 0x70);
const CKK_EC_EDWARDS = 0x40; // PKCS#11 3.0

export const allowed = (profile: Profile, ...mechanisms: number[]): Template =>
  profile.allowedMechanisms ? { allowedMechanisms: mechanisms } : {};

const forTrusted = (profile: Profile): Template => (profile.trusted === 'none' ? {} : { wrapWithTrusted: true });

/** The public half of a pair: `token` if it is one of the replica's keys. */
export const publicKey = (token: boolean, verify: boolean): Template => ({
  class: pkcs11js.CKO_PUBLIC_KEY,
  keyType: pkcs11js.CKK_EC,
  token,
  private: false, // public by nature; the fleet statement says which is right
  ecParams: P256,
  encrypt: false,
  verify,
  wrap: false,
});

/** The replica's session key S_i. */
export const sessionKey = (profile: Profile): Template => ({
  class: pkcs11js.CKO_PRIVATE_KEY,
  keyType: pkcs11js.CKK_EC,
  token: true,
  private: true,
  sensitive: true,
  extractable: false,
  ...noPrivateUse,
  derive: true, // ECDH with a client's ephemeral key, and nothing else: a signature by it would be a statement nobody asked for
  ...allowed(profile, CKM.ECDH1_DERIVE),
  modifiable: false,
});

/** The replica's receipt key V_i. */
export const receiptKey = (profile: Profile): Template => ({
  class: pkcs11js.CKO_PRIVATE_KEY,
  keyType: pkcs11js.CKK_EC,
  token: true,
  private: true,
  sensitive: true,
  extractable: false,
  ...noPrivateUse,
  sign: true, // never derive: k·P for the signing key would be a second oracle on it
  ...allowed(profile, CKM.ECDSA),
  modifiable: false,
});

/** The key of all MACs over what the replica stores outside the token. */
export const macKey = (profile: Profile): Template => ({
  class: pkcs11js.CKO_SECRET_KEY,
  keyType: pkcs11js.CKK_GENERIC_SECRET,
  valueLength: 32, // SoftHSM takes no shorter key for HMAC-SHA-256, and RFC 2104 §3 wants none
  token: true,
  private: true,
  sensitive: true,
  extractable: false,
  ...noUse,
  sign: true,
  verify: true, // C_Verify compares in the token
  ...allowed(profile, CKM.SHA256_HMAC),
  modifiable: false,
});

export type KekPurpose = 'oprf' | 'auth' | 'release';

/** The same for each call with this profile: encoded once. */
function perProfile(make: (profile: Profile) => Template): (profile: Profile) => Template {
  const made = new WeakMap<Profile, Template>();
  return (profile) => {
    const template = made.get(profile) ?? fixed(make(profile));
    made.set(profile, template);
    return template;
  };
}

/** What unwraps under one KEK. One KEK for all would let a host choose the laxest template for the most secret value. */
export const stored = (purpose: KekPurpose, profile: Profile): Template => storedUnder[purpose](profile);

const storedUnder: Record<KekPurpose, (profile: Profile) => Template> = {
  oprf: perProfile((profile) => makeStored('oprf', profile)),
  auth: perProfile((profile) => makeStored('auth', profile)),
  release: perProfile((profile) => makeStored('release', profile)),
};

function makeStored(purpose: KekPurpose, profile: Profile): Template {
  switch (purpose) {
    case 'oprf':
      return {
        class: pkcs11js.CKO_PRIVATE_KEY,
        keyType: pkcs11js.CKK_EC,
        token: false, // lives for one call
        private: true,
        sensitive: true,
        extractable: false, // once stored it never leaves again, trusted wrapping key or not
        ...noPrivateUse,
        derive: true,
        ...allowed(profile, CKM.ECDH1_DERIVE),
        modifiable: false, // else the host switches another use on after the unwrap
      };
    case 'auth':
      return {
        class: pkcs11js.CKO_SECRET_KEY,
        keyType: pkcs11js.CKK_GENERIC_SECRET,
        token: false,
        private: true,
        sensitive: true,
        extractable: false,
        ...noUse,
        verify: true, // without sign: the token must not make the proof that it asks for
        ...allowed(profile, CKM.SHA256_HMAC),
        modifiable: false,
      };
    case 'release':
      return {
        class: pkcs11js.CKO_SECRET_KEY,
        keyType: pkcs11js.CKK_GENERIC_SECRET,
        token: false,
        private: true,
        sensitive: true,
        extractable: true, // it must leave, wrapped to the client’s session key, which no token can trust beforehand
        ...noUse, // and so be used for nothing here
        modifiable: false,
      };
  }
}

export const kekMechanism = (purpose: KekPurpose, profile: Profile): number =>
  purpose === 'oprf' ? profile.wrap.ecPrivateKey : profile.wrap.secret;

/** KEKs whose blobs hold what must never be wrapped by anything else. What KEK_release holds must be. */
export const isTrusted = (purpose: KekPurpose, profile: Profile): boolean => profile.trusted !== 'none' && purpose !== 'release';

/** Without its UNWRAP_TEMPLATE, which cannot be read back (attributes.ts). */
export const kek = (purpose: KekPurpose, profile: Profile): Template => ({
  class: pkcs11js.CKO_SECRET_KEY,
  keyType: pkcs11js.CKK_AES,
  valueLength: 32,
  token: true,
  private: true,
  sensitive: true,
  extractable: false, // leaves by no door: a replica that lost its token is replaced, not restored
  ...noUse, // above all no decrypt: AES-KW is AES, and would be undone by AES-ECB and six rounds of arithmetic
  wrap: true,
  unwrap: true,
  ...(isTrusted(purpose, profile) ? { trusted: true } : {}),
  ...allowed(profile, kekMechanism(purpose, profile)),
  modifiable: false, // else the host switches decrypt on, or replaces the template
});

/** A KEK as it is made: where the token enforces it, what it unwraps is what `stored` says. */
export const kekWithTemplate = (purpose: KekPurpose, profile: Profile): Template => ({
  ...kek(purpose, profile),
  ...unwrapsAsStored(purpose, profile),
});

export const unwrapsAsStored = (purpose: KekPurpose, profile: Profile): Template =>
  profile.unwrapTemplate ? { unwrapTemplate: nestedTemplate(stored(purpose, profile)) } : {};

/** A record's OPRF key between its birth and its wrapping. */
export const newOprfKey = (profile: Profile): Template => ({
  ...stored('oprf', profile),
  extractable: true, // so that KEK_oprf can wrap it,
  ...forTrusted(profile), // and only a trusted KEK
});

/** A client's secret, just opened with a session key: it may only be wrapped again. */
export const opened = (purpose: 'auth' | 'release', profile: Profile): Template => ({
  class: pkcs11js.CKO_SECRET_KEY,
  keyType: pkcs11js.CKK_GENERIC_SECRET,
  token: false,
  private: true,
  sensitive: true,
  extractable: true,
  ...(purpose === 'auth' ? forTrusted(profile) : {}),
  ...noUse,
  modifiable: false,
});

/** x(k·P), to be read: it goes to the client, and the client could compute it from the answer anyway. */
export const readableX = fixed({
  class: pkcs11js.CKO_SECRET_KEY,
  keyType: pkcs11js.CKK_GENERIC_SECRET,
  valueLength: 32, // with leading zeros
  token: false,
  private: false, // SoftHSM would encrypt it in memory: 15 µs for nothing
  sensitive: false,
  extractable: true,
});

/** x(k·P) where the token shows no value of a key: it may leave under `throwAwayKey`. */
export const wrappableX = fixed({
  class: pkcs11js.CKO_SECRET_KEY,
  keyType: pkcs11js.CKK_GENERIC_SECRET,
  valueLength: 32, // with leading zeros
  token: false,
  private: true,
  sensitive: true,
  extractable: true,
});

/** Wraps two values and decrypts them again, and is gone with the call. What it opens, the host was to see anyway. */
export const throwAwayKey: Template = {
  class: pkcs11js.CKO_SECRET_KEY,
  keyType: pkcs11js.CKK_AES,
  valueLength: 32,
  token: false,
  private: true,
  sensitive: true,
  extractable: false,
  ...noUse,
  wrap: true,
  decrypt: true,
};

/** Session suite A, first step: the shared x as a key that can only derive. */
export const sharedSecret = fixed({
  class: pkcs11js.CKO_SECRET_KEY,
  keyType: pkcs11js.CKK_AES,
  valueLength: 32,
  token: false,
  private: true,
  sensitive: true,
  extractable: false,
  ...noUse,
  derive: true,
  modifiable: false,
});

/** The key of a session, by either suite: it wraps and unwraps one secret of 32 bytes. */
export const sessionWrapKey = perProfile((profile) => ({
  class: pkcs11js.CKO_SECRET_KEY,
  keyType: pkcs11js.CKK_AES,
  valueLength: 32,
  token: false,
  private: true,
  sensitive: true,
  extractable: false,
  ...noUse,
  wrap: true,
  unwrap: true,
  ...allowed(profile, profile.wrap.secret),
  modifiable: false,
}));

export type SigningKind = 'p256' | 'ed25519';

const signingKeyType = (kind: SigningKind): number => (kind === 'p256' ? pkcs11js.CKK_EC : CKK_EC_EDWARDS);

/** What finds one half of a signing pair. */
export const signingPair = (kind: SigningKind, half: 'public' | 'private', label: string): Template => ({
  class: half === 'public' ? pkcs11js.CKO_PUBLIC_KEY : pkcs11js.CKO_PRIVATE_KEY,
  keyType: signingKeyType(kind),
  label,
});

/** The public half of a key that signs for a party: an operator, a witness, its log. */
export const signingPublicKey = (kind: SigningKind, label: string): Template => ({
  ...publicKey(true, true),
  ...signingPair(kind, 'public', label),
  ecParams: kind === 'p256' ? P256 : ED25519,
  modifiable: false,
});

/** Its private half: signs by one mechanism, and does nothing else. */
export const signingPrivateKey = (kind: SigningKind, profile: Profile, label: string): Template => ({
  ...receiptKey(profile), // the same rules, for the same reasons
  ...signingPair(kind, 'private', label),
  ...allowed(profile, kind === 'p256' ? CKM.ECDSA : CKM.EDDSA),
});
