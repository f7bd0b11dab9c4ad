import { ed25519 } from '@noble/curves/ed25519.js';
import { p256 } from '@noble/curves/nist.js';
import { hkdf } from '@noble/hashes/hkdf.js';
import { hmac } from '@noble/hashes/hmac.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { type Bytes, concat, utf8 } from '../primitives/bytes.ts';
import { SecretBytes } from '../primitives/secret-bytes.ts';
import type { CompressedPoint } from '../protocol/point.ts';
import { scalarFrom } from '../protocol/scalar.ts';
import type { Transcript } from '../protocol/transcript.ts';
import {
  baseTranscript,
  codeTranscript,
  ownerTranscript,
  payloadTranscript,
  proofKeyTranscript,
  rehearsalTranscript,
  releaseMaskTranscript,
} from '../protocol/transcripts.ts';
import { normaliseCode } from './code.ts';

// HKDF-SHA-256 (RFC 5869) without salt: each input is uniform already. What a key is for stands in `info`.
const derive = (secret: Uint8Array, info: Transcript): Bytes => hkdf(sha256, secret, undefined, info.digest, 32) as Bytes;

/** The OPRF's input, 32 bytes: the code in its normal form, and the record that it is for. */
export function codeInput(code: string, fleet: string, rid: Uint8Array): SecretBytes {
  const normal = utf8(normaliseCode(code));
  const { preimage, digest } = codeTranscript(fleet, rid, normal);
  const input = new SecretBytes(digest);
  for (const secret of [normal, preimage, digest]) secret.fill(0);
  return input;
}

/** b, which hides what is released: only whoever has the blind's secret can make it of the input again. */
export const baseScalar = (secret: Uint8Array, rid: Uint8Array, g: Uint8Array, input: SecretBytes): SecretBytes =>
  new SecretBytes(scalarFrom(secret, baseTranscript(rid, g, input.expose()).digest));

/** Hides replica i's share of R behind D_i, which takes its release key or τ. */
export const releaseMaskKey = (d: Uint8Array, rid: Uint8Array, g: Uint8Array, index: number) =>
  derive(d, releaseMaskTranscript(rid, g, index));

/** Needs s, which the code gives, and R, which the replicas release: neither alone opens the payload. */
export const payloadKey = (s: Uint8Array, r: Uint8Array, rid: Uint8Array, g: Uint8Array) => derive(concat(s, r), payloadTranscript(rid, g));

/** A: in the body it commits to s, and holders verify with it that a client knew the code. */
export const proofKey = (s: Uint8Array, rid: Uint8Array, g: Uint8Array): CompressedPoint =>
  withProofScalar(s, rid, g, (a) => p256.getPublicKey(a) as CompressedPoint);

/** By the private key of A: ECDSA with SHA-256, deterministic (RFC 6979), r‖s. */
export const signWithProofKey = (s: Uint8Array, rid: Uint8Array, g: Uint8Array, transcript: Transcript): Bytes =>
  withProofScalar(s, rid, g, (a) => p256.sign(transcript.digest, a, { prehash: false, lowS: false }) as Bytes);

function withProofScalar<T>(s: Uint8Array, rid: Uint8Array, g: Uint8Array, use: (a: Bytes) => T): T {
  const a = scalarFrom(s, proofKeyTranscript(rid, g).digest);
  try {
    return use(a);
  } finally {
    a.fill(0);
  }
}

export interface OwnerKey {
  readonly publicKey: Bytes;
  /** Ed25519 (RFC 8032) over the 32-byte digest. */
  sign(transcript: Transcript): Bytes;
}

/** The key that may replace a record: whoever holds the backup key can derive it, nobody else. */
export function ownerKey(backupKey: SecretBytes, rid: Uint8Array): OwnerKey {
  const seed = derive(backupKey.expose(), ownerTranscript(rid));
  return {
    publicKey: ed25519.getPublicKey(seed) as Bytes,
    sign: (transcript) => ed25519.sign(transcript.digest, seed) as Bytes,
  };
}

/**
 * Tells a device that holds the backup key whether a code may be the one it enrolled: 10 bits in 2 bytes, of which the last 6 bits are 0.
 * Of wrong codes 1 in 1024 passes; and whoever has the device learns no more of the code than that it is among these.
 */
export function rehearsalTag(backupKey: SecretBytes, input: SecretBytes, rid: Uint8Array): Bytes {
  const [first = 0, second = 0] = hmac(sha256, derive(backupKey.expose(), rehearsalTranscript(rid)), input.expose());
  return Uint8Array.of(first, second & 0b1100_0000);
}
