import pkcs11js from 'pkcs11js';
import { ulongs } from './attributes.ts';

/**
 * The mechanisms the vault uses, and the only place that builds parameters: pkcs11js leaves pointers uninitialised for a parameter
 * type that it does not know.
 */
export type Mechanism = pkcs11js.Mechanism;

export const CKM = {
  EC_KEY_PAIR_GEN: pkcs11js.CKM_EC_KEY_PAIR_GEN, // 0x1040
  ECDSA: pkcs11js.CKM_ECDSA, // 0x1041
  ECDH1_DERIVE: pkcs11js.CKM_ECDH1_DERIVE, // 0x1050
  EC_EDWARDS_KEY_PAIR_GEN: 0x1055, // PKCS#11 3.0 §2.3.8; pkcs11js has no name for it, nor for the next
  EDDSA: 0x1057, // without a parameter: Ed25519 of RFC 8032
  AES_KEY_GEN: pkcs11js.CKM_AES_KEY_GEN, // 0x1080
  AES_ECB: pkcs11js.CKM_AES_ECB, // 0x1081: for probes only
  AES_CBC: pkcs11js.CKM_AES_CBC, // 0x1082
  AES_CBC_ENCRYPT_DATA: pkcs11js.CKM_AES_CBC_ENCRYPT_DATA, // 0x1105
  GENERIC_SECRET_KEY_GEN: pkcs11js.CKM_GENERIC_SECRET_KEY_GEN, // 0x350
  SHA256_HMAC: pkcs11js.CKM_SHA256_HMAC, // 0x251
  RSA_PKCS_KEY_PAIR_GEN: pkcs11js.CKM_RSA_PKCS_KEY_PAIR_GEN, // 0x0
  RSA_PKCS_OAEP: pkcs11js.CKM_RSA_PKCS_OAEP, // 0x9
} as const;

export const plain = (mechanism: number): Mechanism => ({ mechanism });

/** ECDH whose result is the bare x coordinate: only CKD_NULL keeps the group structure that the OPRF needs. */
export function ecdh(publicData: Uint8Array): Mechanism {
  const parameter: pkcs11js.ECDH1 = { type: pkcs11js.CK_PARAMS_EC_DH, kdf: pkcs11js.CKD_NULL, publicData: Buffer.from(publicData) };
  return { mechanism: CKM.ECDH1_DERIVE, parameter };
}

/** ECDH and ANSI X9.63 with SHA-256 in one step: SHA-256(x ‖ 00000001 ‖ shared), 32 bytes (SEC 1 §3.6.1). */
export function ecdhSha256(publicData: Uint8Array, shared: Uint8Array): Mechanism {
  const parameter: pkcs11js.ECDH1 = {
    type: pkcs11js.CK_PARAMS_EC_DH,
    kdf: pkcs11js.CKD_SHA256_KDF,
    publicData: Buffer.from(publicData),
    sharedData: Buffer.from(shared),
  };
  return { mechanism: CKM.ECDH1_DERIVE, parameter };
}

/** AES-CBC with IV 0: for a key that encrypts once. */
export const cbc = (): Mechanism => ({ mechanism: CKM.AES_CBC, parameter: Buffer.alloc(16) });

/** The same with PKCS#7 padding: for probes only. */
export const cbcPadded = (): Mechanism => ({ mechanism: pkcs11js.CKM_AES_CBC_PAD, parameter: Buffer.alloc(16) });

/** AES-CTR from block 0 (CK_AES_CTR_PARAMS: the bits that count, then the block): for probes only. */
export const ctr = (): Mechanism => ({ mechanism: pkcs11js.CKM_AES_CTR, parameter: Buffer.concat([ulongs([128]), Buffer.alloc(16)]) });

/** Derives a key as the AES-CBC encryption of `data` under the base key (CK_AES_CBC_ENCRYPT_DATA_PARAMS). */
export function cbcEncryptData(iv: Uint8Array, data: Uint8Array): Mechanism {
  const parameter: pkcs11js.AesCBC = { type: pkcs11js.CK_PARAMS_AES_CBC, iv: Buffer.from(iv), data: Buffer.from(data) };
  return { mechanism: CKM.AES_CBC_ENCRYPT_DATA, parameter };
}

/**
 * OAEP with SHA-1, also in its mask: the only hash that SoftHSM has for it, and that every token has. OAEP does not rest on collisions
 * of its hash, which is where SHA-1 is broken (RFC 8017 §7.1; NIST SP 800-131A allows it outside of signatures).
 */
export function oaep(): Mechanism {
  const parameter: pkcs11js.RsaOAEP = {
    type: pkcs11js.CK_PARAMS_RSA_OAEP,
    hashAlg: pkcs11js.CKM_SHA_1,
    mgf: pkcs11js.CKG_MGF1_SHA1,
    source: 1, // CKZ_DATA_SPECIFIED, and none is
  };
  return { mechanism: CKM.RSA_PKCS_OAEP, parameter };
}
