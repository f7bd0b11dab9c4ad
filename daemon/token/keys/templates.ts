import pkcs11js from 'pkcs11js';
import { fixed, type Template } from '../pkcs11/attributes.ts';
import { CKM } from '../pkcs11/mechanisms.ts';
import type { Profile } from '../profile.ts';

/**
 * Every attribute of every key, and why. Uses are all written out, since tokens differ in what they allow by default (SoftHSM: decrypt and
 * more). What a token wants left out, its profile's `neverSend` says; what is left out is read back all the same (key-record.ts).
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
const noPrivateUse = { decrypt: false, sign: false, unwrap: false, derive: false } as const;

// OBJECT IDENTIFIER 1.2.840.10045.3.1.7 (prime256v1), DER
const P256 = Uint8Array.of(0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07);

// OBJECT IDENTIFIER 1.3.101.112 (Ed25519, RFC 8410 §3), DER. PKCS#11 3.0 allows a curve's name as well; SoftHSM takes the OID only.
const ED25519 = Uint8Array.of(0x06, 0x03, 0x2b, 0x65, 0x70);
const CKK_EC_EDWARDS = 0x40; // PKCS#11 3.0

const hmacKeyTypes = { 'generic-secret': pkcs11js.CKK_GENERIC_SECRET, 'sha256-hmac': pkcs11js.CKK_SHA256_HMAC } as const;

export type KeyClass = keyof NonNullable<Profile['neverSend']>;

/** A template without what the profile says that the token does not take: but for what the key is there to do. */
export function spoken(kind: KeyClass, profile: Profile, template: Template): Template {
  const omitted: readonly string[] = profile.neverSend?.[kind] ?? [];
  const isUse = ([name, value]: [string, unknown]) => value === true && Object.hasOwn(noUse, name);
  return Object.fromEntries(Object.entries(template).filter((entry) => isUse(entry) || !omitted.includes(entry[0])));
}

/** The same for each call with this profile: encoded once. */
function perProfile(make: (profile: Profile) => Template): (profile: Profile) => Template {
  const made = new WeakMap<Profile, Template>();
  return (profile) => {
    const template = made.get(profile) ?? fixed(make(profile));
    made.set(profile, template);
    return template;
  };
}

const allowed = (profile: Profile, ...mechanisms: number[]): Template =>
  profile.allowedMechanisms ? { allowedMechanisms: mechanisms } : {};

/** What keeps a key of a replica in its token, as it is. */
const kept = {
  token: true,
  sensitive: true,
  extractable: false, // leaves by no door: a replica that lost its token is replaced, or its token was copied with the vendor's own means
  copyable: false, // no copy, looser or not
  destroyable: true, // a set that was rotated out is destroyed
  modifiable: false, // else the host switches another use on
} as const;

const privateKey = (profile: Profile): Template => ({
  class: pkcs11js.CKO_PRIVATE_KEY,
  keyType: pkcs11js.CKK_EC,
  private: profile.private.privateKey,
  ...kept,
  ...noPrivateUse,
});

/** k or r: x(k·Q), and nothing else. A signature by it would be a statement that nobody asked for, and a second oracle on it. */
const derivingKey = (profile: Profile): Template => ({
  ...privateKey(profile),
  derive: true,
  ...allowed(profile, CKM.ECDH1_DERIVE),
});

/** V: signs transcripts, and never derives, for the same reason. */
const receiptKey = (profile: Profile): Template => ({
  ...privateKey(profile),
  sign: true,
  ...allowed(profile, CKM.ECDSA),
});

/** The key of all tweaks, and of all MACs over what the replica stores outside the token. */
const macKey = (profile: Profile): Template => ({
  class: pkcs11js.CKO_SECRET_KEY,
  keyType: hmacKeyTypes[profile.hmac.keyType],
  valueLength: 32, // SoftHSM takes no shorter key for HMAC-SHA-256, and RFC 2104 §3 wants none
  private: profile.private.secretKey,
  ...kept,
  ...noUse, // above all no derive: EXTRACT_KEY_FROM_KEY and the like give a key away piece by piece
  sign: true,
  verify: true, // C_Verify compares in the token
  ...allowed(profile, CKM.SHA256_HMAC),
});

/** The four keys, as a token that speaks plain PKCS#11 would be asked for them, and read back. */
export const keyTemplates = { oprf: derivingKey, release: derivingKey, mac: macKey, receipt: receiptKey } as const;

/** The public half of a pair: what is read of it, the fleet statement says. */
export const publicKey = (profile: Profile, { token, verify }: { token: boolean; verify: boolean }): Template =>
  spoken('publicKey', profile, {
    class: pkcs11js.CKO_PUBLIC_KEY,
    keyType: pkcs11js.CKK_EC,
    token,
    private: profile.private.publicKey,
    ecParams: P256,
    encrypt: false,
    verify,
    wrap: false,
    ...(token ? { modifiable: false } : {}),
  });

/** Of a client's proof key, but for its point: lives for one C_Verify. */
export const proofKey = perProfile((profile) => publicKey(profile, { token: false, verify: true }));

/** x(k·Q), to leave the token by the profile's `readout`. It is made for the host to see, and used for nothing in the token. */
export const derivedX = perProfile((profile) => {
  const isRead = profile.readout.way === 'read';
  const { send, extras } = profile.deriveTemplate;
  const full: Template = {
    class: pkcs11js.CKO_SECRET_KEY,
    keyType: pkcs11js.CKK_GENERIC_SECRET,
    valueLength: 32, // with leading zeros
    token: false,
    private: profile.private.derived, // false where it may be: SoftHSM would encrypt it in memory, for nothing
    sensitive: !isRead,
    extractable: true,
  };
  return { ...Object.fromEntries(send.map((name) => [name, full[name]])), extras };
});

/** Wraps derived values and decrypts them again, in one session. What it opens, the host is to see anyway. */
export const throwAwayKey = (profile: Profile): Template =>
  spoken('secretKey', profile, {
    class: pkcs11js.CKO_SECRET_KEY,
    keyType: pkcs11js.CKK_AES,
    valueLength: 32,
    token: false,
    private: profile.private.secretKey,
    sensitive: true,
    extractable: false,
    ...noUse,
    wrap: true,
    decrypt: true,
  });

/** The public half of the host's throw-away RSA key, to which derived values are wrapped. */
export const hostKey = (profile: Profile, modulus: Uint8Array, publicExponent: Uint8Array): Template =>
  spoken('publicKey', profile, {
    class: pkcs11js.CKO_PUBLIC_KEY,
    keyType: pkcs11js.CKK_RSA,
    token: false,
    private: profile.private.publicKey,
    modulus,
    publicExponent,
    encrypt: false,
    verify: false,
    wrap: true,
  });

export type SigningKind = 'p256' | 'ed25519';

const signingKeyType = (kind: SigningKind): number => (kind === 'p256' ? pkcs11js.CKK_EC : CKK_EC_EDWARDS);

/** What finds one half of a signing pair. */
export const signingPair = (kind: SigningKind, half: 'public' | 'private', label: string): Template => ({
  class: half === 'public' ? pkcs11js.CKO_PUBLIC_KEY : pkcs11js.CKO_PRIVATE_KEY,
  keyType: signingKeyType(kind),
  label,
});

/** The public half of a key that signs for a party: an operator, a witness, its log. */
export const signingPublicKey = (kind: SigningKind, profile: Profile, label: string): Template => ({
  ...publicKey(profile, { token: true, verify: true }),
  ...signingPair(kind, 'public', label),
  ecParams: kind === 'p256' ? P256 : ED25519,
});

/** Its private half: signs by one mechanism, and does nothing else. */
export const signingPrivateKey = (kind: SigningKind, profile: Profile, label: string): Template =>
  spoken('privateKey', profile, {
    ...receiptKey(profile), // the same rules, for the same reasons
    ...signingPair(kind, 'private', label),
    ...allowed(profile, kind === 'p256' ? CKM.ECDSA : CKM.EDDSA),
  });
