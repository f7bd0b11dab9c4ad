import pkcs11js from 'pkcs11js';
import type { Bytes } from '../../../primitives/bytes.ts';
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
  GENERIC_SECRET_KEY_GEN: pkcs11js.CKM_GENERIC_SECRET_KEY_GEN, // 0x350
  SHA256_HMAC: pkcs11js.CKM_SHA256_HMAC, // 0x251
  RSA_PKCS_OAEP: pkcs11js.CKM_RSA_PKCS_OAEP, // 0x9
} as const;

export const plain = (mechanism: number): Mechanism => ({ mechanism });

/** ECDH whose result is the bare x coordinate: only CKD_NULL keeps the group structure that the OPRF needs. */
export function ecdh(point: Bytes): Mechanism {
  const publicData = Buffer.from(point.buffer, point.byteOffset, point.length);
  const parameter: pkcs11js.ECDH1 = { type: pkcs11js.CK_PARAMS_EC_DH, kdf: pkcs11js.CKD_NULL, publicData };
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

/** With an IV of 16 zero bytes: for values that the host is to see anyway. */
export const zeroIv = (mechanism: number): Mechanism => ({ mechanism, parameter: Buffer.alloc(16) });

/** AES-CBC: for probes only. */
export const cbc = (): Mechanism => zeroIv(CKM.AES_CBC);

/** The same with PKCS#7 padding: for probes only. */
export const cbcPadded = (): Mechanism => ({ mechanism: pkcs11js.CKM_AES_CBC_PAD, parameter: Buffer.alloc(16) });

/** AES-CTR from block 0 (CK_AES_CTR_PARAMS: the bits that count, then the block): for probes only. */
export const ctr = (): Mechanism => ({ mechanism: pkcs11js.CKM_AES_CTR, parameter: Buffer.concat([ulongs([128]), Buffer.alloc(16)]) });

/**
 * OAEP. SHA-1, also in its mask, is the only hash that SoftHSM has for it: OAEP does not rest on collisions of its hash, which is where SHA-1
 * is broken (RFC 8017 §7.1; NIST SP 800-131A allows it outside of signatures).
 */
export function oaep(hash: 'sha1' | 'sha256'): Mechanism {
  const [hashAlg, mgf] = hash === 'sha1' ? [pkcs11js.CKM_SHA_1, pkcs11js.CKG_MGF1_SHA1] : [pkcs11js.CKM_SHA256, pkcs11js.CKG_MGF1_SHA256];
  const parameter: pkcs11js.RsaOAEP = { type: pkcs11js.CK_PARAMS_RSA_OAEP, hashAlg, mgf, source: 1 }; // CKZ_DATA_SPECIFIED, and none is
  return { mechanism: CKM.RSA_PKCS_OAEP, parameter };
}

/** What makes a key of another one with no more than cutting, joining and XOR (PKCS#11 2.40 current mechanisms §2.31): for probes only. */
export const simpleDerivations = (base: Buffer): Mechanism[] => {
  const data: pkcs11js.AesGCM = { type: pkcs11js.CK_PARAMS_AES_GCM, iv: Buffer.alloc(8), aad: Buffer.alloc(8), ivBits: 64, tagBits: 128 };
  return [
    { mechanism: 0x365, parameter: ulongs([0]) }, // EXTRACT_KEY_FROM_KEY, from bit 0
    { mechanism: 0x360, parameter: base }, // CONCATENATE_BASE_AND_KEY
    // These take CK_KEY_DERIVATION_STRING_DATA, a pointer and a length, and CK_GCM_PARAMS begins with the same two.
    { mechanism: 0x362, parameter: data }, // CONCATENATE_BASE_AND_DATA
    { mechanism: 0x363, parameter: data }, // CONCATENATE_DATA_AND_BASE
    { mechanism: 0x364, parameter: data }, // XOR_BASE_AND_DATA
    plain(0x393), // SHA256_KEY_DERIVATION
  ];
};
