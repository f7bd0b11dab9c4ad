import { p256 } from '@noble/curves/nist.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { concat, fromHex, toHex } from '../../primitives/bytes.ts';
import { parsePoint } from '../../protocol/point.ts';
import { compress, compressSec1, decompress, generator, prepare, recoverSign, uncompressed } from './curve.ts';
import { multiple } from './reference.ts';

const ORDER = p256.Point.Fn.ORDER;
const scalar = fc.bigInt({ min: 2n, max: ORDER - 2n });
const x = (point: Uint8Array): Uint8Array => point.slice(1, 33);

/** Which point is evaluated is of no consequence to the key. */
const prepared = (publicKey: Uint8Array) => prepare(decompress(multiple(5n), 'P'), decompress(publicKey, 'K')).key;

/** What the token would derive for key k and the points P = e·G and P + G, and K. */
function derivations(k: bigint, e: bigint) {
  const product = multiple((k * e) % ORDER);
  return { product, xOfProduct: x(product), xOfSum: x(multiple((k * (e + 1n)) % ORDER)), publicKey: prepared(multiple(k)) };
}

function recovered(k: bigint, e: bigint): Uint8Array {
  const { xOfProduct, xOfSum, publicKey } = derivations(k, e);
  return recoverSign(xOfProduct, xOfSum, publicKey);
}

describe('points', () => {
  it('decompress as noble decompresses them', () => {
    fc.assert(
      fc.property(scalar, (e) => {
        const point = decompress(multiple(e), 'P');
        expect(point).toEqual({ ...p256.Point.BASE.multiply(e).toAffine() });
        expect(compress(point)).toEqual(multiple(e));
        expect(compressSec1(uncompressed(point), 'P')).toEqual(multiple(e));
      }),
    );
  });

  it.each([
    ['the identity', '00'],
    ['an uncompressed point', `04${'11'.repeat(32)}`],
    ['32 bytes', '02'.repeat(32)],
    ['x = p', '02ffffffff00000001000000000000000000000000ffffffffffffffffffffffff'],
    ['x = p + 5, which is on the curve modulo p', '02ffffffff00000001000000000000000000000001000000000000000000000004'],
    ['x = 1, which is off the curve', `02${'00'.repeat(31)}01`],
  ])('refuse %s', (_, hex) => {
    expect(() => decompress(fromHex(hex, 'point'), 'P')).toThrow(expect.objectContaining({ code: 'MALFORMED' }));
  });

  it('refuse an uncompressed form that is off the curve', () => {
    const point = uncompressed(generator);
    point[40] = (point[40] as number) ^ 1;
    expect(() => compressSec1(point, 'P')).toThrow(expect.objectContaining({ code: 'MALFORMED' }));
  });

  it('add the generator as noble adds it', () => {
    fc.assert(
      fc.property(scalar, scalar, (e, k) => {
        expect(compress(prepare(decompress(multiple(e), 'P'), decompress(multiple(k), 'K')).sum)).toEqual(multiple(e + 1n));
      }),
    );
  });
});

describe('the sign of k·P', () => {
  it('is found for any key and point', () => {
    fc.assert(
      fc.property(scalar, scalar, (k, e) => {
        expect(recovered(k, e)).toEqual(multiple((k * e) % ORDER));
      }),
      { numRuns: 500 },
    );
  });

  it.each([2n, 3n, ORDER - 2n, ORDER - 3n])('is found for P = %s·G', (e) => {
    expect(recovered(5n, e)).toEqual(multiple((5n * e) % ORDER));
    expect(recovered(ORDER - 5n, e)).toEqual(multiple(((ORDER - 5n) * e) % ORDER));
  });

  it('is never guessed: a sum of another key is refused', () => {
    fc.assert(
      fc.property(scalar, scalar, scalar, (k, e, other) => {
        // For ±k(e+1) the sum is the right one, and for ±k(e−1) it is that of −Q.
        const unrelated = [k * (e + 1n), k * (e - 1n)].every((right) => ((other * (e + 1n)) ** 2n - right ** 2n) % ORDER !== 0n);
        fc.pre(unrelated);
        const { xOfProduct, publicKey } = derivations(k, e);
        const { xOfSum } = derivations(other, e);
        expect(() => recoverSign(xOfProduct, xOfSum, publicKey)).toThrow(expect.objectContaining({ code: 'TOKEN_FAULT' }));
      }),
    );
  });

  it('is never guessed: the public key of another key is refused', () => {
    const { xOfProduct, xOfSum } = derivations(7n, 11n);
    for (const wrong of [multiple(8n), multiple(ORDER - 8n), multiple(77n), multiple(ORDER - 77n)])
      expect(() => recoverSign(xOfProduct, xOfSum, prepared(wrong))).toThrow(expect.objectContaining({ code: 'TOKEN_FAULT' }));
  });

  it('follows the public key: −K with the same derivations means −k, as far as x can tell', () => {
    const { product, xOfProduct, xOfSum } = derivations(7n, 11n);
    const negated = parsePoint(concat(Uint8Array.of((product[0] as number) ^ 1), x(product)), 'Q');
    expect(recoverSign(xOfProduct, xOfSum, prepared(multiple(ORDER - 7n)))).toEqual(negated);
  });

  it.each([
    ['1, which is off the curve', `${'00'.repeat(31)}01`],
    ['p + 5, which is on the curve modulo p', 'ffffffff00000001000000000000000000000001000000000000000000000004'],
    ['the x of the public key', toHex(x(multiple(7n)))],
  ])('is refused for a value that is no x coordinate of a product: %s', (_, hex) => {
    const { xOfSum, publicKey } = derivations(7n, 11n);
    expect(() => recoverSign(fromHex(hex, 'x'), xOfSum, publicKey)).toThrow(expect.objectContaining({ code: 'TOKEN_FAULT' }));
  });
});
