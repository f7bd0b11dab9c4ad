import { createHmac } from 'node:crypto';
import { normalizeZ } from '@noble/curves/abstract/curve.js';
import { p256 } from '@noble/curves/nist.js';
import type { Bytes } from '../../primitives/bytes.ts';
import { type CompressedPoint, parsePoint } from '../../protocol/point.ts';

// What others compute, in software that shares nothing with the code it judges: for the self-test, and for tests.

/** ECDSA by `scalar`, as a client proves that it knew the code (RFC 6979): r‖s. */
export const signWith = (scalar: bigint, digest: Uint8Array): Bytes =>
  p256.sign(digest, p256.Point.Fn.toBytes(scalar), { prehash: false, lowS: false }) as Bytes;

export const hmac = (key: Uint8Array, data: Uint8Array): Bytes => new Uint8Array(createHmac('sha256', key).update(data).digest());

export const multiply = (point: CompressedPoint, scalar: bigint): CompressedPoint =>
  // Unsafe means not in constant time: nothing here is secret, and a token that is back is to be tested fast.
  parsePoint(p256.Point.fromBytes(point).multiplyUnsafe(scalar).toBytes(true), 'a product');

export const multiple = (scalar: bigint): CompressedPoint => parsePoint(p256.Point.BASE.multiply(scalar).toBytes(true), 'a multiple of G');

/** The smallest e ≥ `from` for which x(e·K) begins with a zero byte: about 256 tries. */
export function scalarWithLeadingZero(publicKey: CompressedPoint, from: bigint): bigint {
  const key = p256.Point.fromBytes(publicKey);
  let product = key.multiplyUnsafe(from);
  for (let scalar = from; ; ) {
    // One inversion for many points, where each alone would need its own.
    const products: (typeof key)[] = [];
    for (let i = 0; i < BATCH; i++, product = product.add(key)) products.push(product);
    for (const each of normalizeZ(p256.Point, products)) {
      if (each.toBytes(true)[1] === 0) return scalar;
      scalar++;
    }
  }
}

const BATCH = 64;
