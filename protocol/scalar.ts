import { hmac } from '@noble/hashes/hmac.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { type Bytes, concat, fromHex, utf8 } from '../primitives/bytes.ts';

/** The order of P-256's group (SEC 2 §2.4.2), 32 bytes big-endian. */
export const ORDER = fromHex('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551', 'q');

/** HKDF-Expand's info where a token's HMAC becomes a tweak. */
const TWEAK_INFO = utf8('bkv/v1/scalar');

/** T(1), T(2), … of HKDF-Expand (RFC 5869 §2.3), as far as they are asked for. */
export function* expand(prk: Uint8Array, info: Uint8Array): Generator<Bytes> {
  let block = new Uint8Array(0);
  for (let i = 1; i <= 255; i++) {
    block = hmac(sha256, prk, concat(block, info, Uint8Array.of(i))) as Bytes;
    yield block;
  }
}

/** The first of `blocks` in 1 … q−1. One in 2³² is not. */
export function firstScalar(blocks: Iterable<Bytes>): Bytes {
  for (const block of blocks) {
    if (isScalar(block)) return block;
    block.fill(0);
  }
  throw new RangeError('no block of HKDF is a scalar'); // with 255 blocks never
}

/** A scalar of P-256 from 32 uniform bytes, by rejection and without big integers: 32 bytes big-endian in 1 … q−1. */
export const scalarFrom = (prk: Uint8Array, info: Uint8Array): Bytes => firstScalar(expand(prk, info));

/** The tweak that a token's HMAC over its transcript stands for. The caller wipes both. */
export const tweakFrom = (mac: Uint8Array): Bytes => scalarFrom(mac, TWEAK_INFO);

/** In 1 … q−1, 32 bytes big-endian. Not in constant time where it is refused, which tells nothing of what is used. */
export function isScalar(bytes: Uint8Array): boolean {
  return bytes.length === ORDER.length && bytes.some((byte) => byte !== 0) && isBelow(bytes, ORDER);
}

/** In time that depends on the lengths only, but for the answer. */
function isBelow(a: Uint8Array, b: Uint8Array): boolean {
  let borrow = 0;
  for (let i = a.length - 1; i >= 0; i--) borrow = (a[i] as number) - (b[i] as number) - borrow < 0 ? 1 : 0;
  return borrow === 1;
}
