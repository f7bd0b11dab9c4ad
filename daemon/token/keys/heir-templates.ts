import pkcs11js from 'pkcs11js';
import type { Template } from '../pkcs11/attributes.ts';
import { CKM } from '../pkcs11/mechanisms.ts';
import { nestedTemplate } from '../pkcs11/nested.ts';
import type { Profile } from '../profile.ts';
import { allowed, type KekPurpose, kek, macKey, noPrivateUse, unwrapsAsStored } from './templates.ts';

// The keys with which a set goes to a second token, and what they are there: docs/adr/0020.

/** What an heir holds of a KEK: what was stored is read with it, and nothing is stored any more. */
export function inheritedKek(purpose: KekPurpose, profile: Profile): Template {
  const { valueLength: _itComesWithOne, trusted: _itWrapsNothing, ...original } = kek(purpose, profile);
  return { ...original, wrap: false };
}

export const inheritedKekWithTemplate = (purpose: KekPurpose, profile: Profile): Template => ({
  ...inheritedKek(purpose, profile),
  ...unwrapsAsStored(purpose, profile),
});

/** The same of a MAC key. */
export function inheritedMac(profile: Profile): Template {
  const { valueLength: _itComesWithOne, ...original } = macKey(profile);
  return { ...original, sign: false };
}

// What all keys have in common that an heir is given.
const anyInherited: Template = {
  class: pkcs11js.CKO_SECRET_KEY,
  token: true,
  private: true,
  sensitive: true,
  extractable: false,
  encrypt: false,
  decrypt: false,
  sign: false,
  wrap: false,
  derive: false,
  modifiable: false,
};

const RSA_BITS = 3072; // 128 bits of security (NIST SP 800-57 part 1, table 2)
const RSA_EXPONENT = Uint8Array.of(1, 0, 1);

/** The public half of an heir's pair, in its own token: it is written out, and used nowhere else. */
export const heirPublicKey: Template = {
  class: pkcs11js.CKO_PUBLIC_KEY,
  keyType: pkcs11js.CKK_RSA,
  token: true,
  private: false,
  modulusBits: RSA_BITS,
  publicExponent: RSA_EXPONENT,
  encrypt: false,
  verify: false,
  wrap: false,
  modifiable: false,
};

/** The private half: it takes in one bequest and is destroyed. */
export const heirPrivateKey = (profile: Profile): Template => ({
  class: pkcs11js.CKO_PRIVATE_KEY,
  keyType: pkcs11js.CKK_RSA,
  token: true,
  private: true,
  sensitive: true,
  extractable: false,
  ...noPrivateUse,
  unwrap: true, // never decrypt: that would show the host every key of the bequest
  ...allowed(profile, CKM.RSA_PKCS_OAEP),
  ...(profile.unwrapTemplate ? { unwrapTemplate: nestedTemplate(anyInherited) } : {}),
  modifiable: false,
});

/** An heir's public key in the token that gives. */
export const heirWrappingKey = (modulus: Uint8Array): Template => ({
  class: pkcs11js.CKO_PUBLIC_KEY,
  keyType: pkcs11js.CKK_RSA,
  token: false,
  private: false,
  modulus,
  publicExponent: RSA_EXPONENT,
  encrypt: false,
  verify: false,
  wrap: true,
});
