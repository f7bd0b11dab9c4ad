import { sha256 } from '@noble/hashes/sha2.js';
import { type Bytes, concat, uint64, utf8 } from '../primitives/bytes.ts';

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
    this.preimage = concat(frame(`bkv/v1/${label}`), ...fields.map(frame));
  }

  /** 32 bytes. */
  get digest(): Bytes {
    this.#digest ??= sha256(this.preimage) as Bytes;
    return this.#digest;
  }
}

/** A 4-byte big-endian length, then the bytes: no two lists of fields have the same frames. */
function frame(field: Field): Bytes {
  const bytes = typeof field === 'string' ? utf8(field) : typeof field === 'object' ? field : uint64(field);
  const length = new Uint8Array(4);
  new DataView(length.buffer).setUint32(0, bytes.length);
  return concat(length, bytes);
}
