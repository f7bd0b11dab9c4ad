import { sha256 } from '@noble/hashes/sha2.js';
import { type Bytes, uint64, utf8 } from '../primitives/bytes.ts';

/** Integers travel as 8 bytes big-endian, strings as UTF-8, points compressed. */
export type Field = Uint8Array | string | number | bigint;

/**
 * What is signed, MACed, hashed or fed to a KDF. `digest` is SHA-256 of `preimage`; tokens sign and MAC the digest, and whoever
 * verifies with a library that hashes for itself gives it the preimage.
 */
export class Transcript {
  readonly preimage: Bytes;
  #digest: Bytes | undefined;

  constructor(label: string, ...fields: Field[]) {
    this.preimage = framed([`bkv/v1/${label}`, ...fields]);
  }

  /** 32 bytes. */
  get digest(): Bytes {
    this.#digest ??= sha256(this.preimage) as Bytes;
    return this.#digest;
  }
}

const LENGTH = 4;

/**
 * Each field as a 4-byte big-endian length and its bytes: no two lists of fields have the same frames. Throws RangeError for an integer
 * that is not of 64 bits.
 */
function framed(fields: readonly Field[]): Bytes {
  const parts = fields.map((field) => (typeof field === 'string' ? utf8(field) : typeof field === 'object' ? field : uint64(field)));
  const out = new Uint8Array(parts.reduce((sum, part) => sum + LENGTH + part.length, 0));
  const view = new DataView(out.buffer);
  let at = 0;
  for (const part of parts) {
    view.setUint32(at, part.length);
    out.set(part, at + LENGTH);
    at += LENGTH + part.length;
  }
  return out;
}
