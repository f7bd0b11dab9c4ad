import { createCipheriv, createDecipheriv, createECDH, createHash, createHmac } from 'node:crypto';
import { normalizeZ } from '@noble/curves/abstract/curve.js';
import { p256 } from '@noble/curves/nist.js';
import type { Bytes } from '../../primitives/bytes.ts';
import { type CompressedPoint, parsePoint } from '../../protocol/point.ts';

// What a client computes, in software that shares nothing with the code it judges: for the self-test, and for tests.

/** An ephemeral key pair E. */
export class ReferenceClient {
  readonly #ecdh = createECDH('prime256v1');
  readonly #suite: 'A' | 'B';
  readonly publicKey: CompressedPoint;

  constructor(suite: 'A' | 'B') {
    this.#suite = suite;
    this.#ecdh.generateKeys();
    this.publicKey = parsePoint(new Uint8Array(this.#ecdh.getPublicKey(null, 'compressed')), 'E');
  }

  /** Seals (AES-KW, RFC 3394) a secret for the holder of `sessionKey`. */
  seal(sessionKey: CompressedPoint, transcript: Uint8Array, secret: Uint8Array): Bytes {
    const cipher = createCipheriv('id-aes256-wrap', this.#key(sessionKey, transcript), KW_IV);
    return new Uint8Array(Buffer.concat([cipher.update(secret), cipher.final()]));
  }

  open(sessionKey: CompressedPoint, transcript: Uint8Array, sealed: Uint8Array): Bytes {
    const decipher = createDecipheriv('id-aes256-wrap', this.#key(sessionKey, transcript), KW_IV);
    return new Uint8Array(Buffer.concat([decipher.update(sealed), decipher.final()]));
  }

  #key(sessionKey: CompressedPoint, transcript: Uint8Array): Buffer {
    const x = this.#ecdh.computeSecret(sessionKey);
    if (this.#suite === 'B')
      return createHash('sha256')
        .update(x)
        .update(Uint8Array.of(0, 0, 0, 1))
        .update(transcript)
        .digest();
    const cipher = createCipheriv('aes-256-cbc', x, Buffer.alloc(16)).setAutoPadding(false);
    return Buffer.concat([cipher.update(transcript), cipher.final()]);
  }
}

const KW_IV = Buffer.alloc(8, 0xa6); // RFC 3394 §2.2.3.1

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
