import { p256 } from '@noble/curves/nist.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Bytes, fromHex } from '../../primitives/bytes.ts';
import type { CompressedPoint } from '../../protocol/point.ts';
import { lift, xOf } from '../../protocol/x-coordinate.ts';
import { compressSec1, decompress, liftUncompressed, multiplyX } from './curve.ts';
import { multiple } from './reference.ts';

const { Fn } = p256.Point;
const { ORDER } = Fn;
const scalar = fc.bigInt({ min: 1n, max: ORDER - 1n });
const malformed = expect.objectContaining({ code: 'MALFORMED' });

const refused = [
  ['the identity', '00'],
  ['the identity, in 33 bytes', '00'.repeat(33)],
  ['an uncompressed point', `04${'11'.repeat(32)}`],
  ['32 bytes', '02'.repeat(32)],
  ['x = p', '02ffffffff00000001000000000000000000000000ffffffffffffffffffffffff'],
  ['x = p + 5, which is on the curve modulo p', '02ffffffff00000001000000000000000000000001000000000000000000000004'],
  ['x = 1, which is off the curve', `02${'00'.repeat(31)}01`],
] as const;

describe('points', () => {
  it('decompress as noble decompresses them, and compress again', () => {
    fc.assert(
      fc.property(scalar, (e) => {
        const point = multiple(e);
        const uncompressed = decompress(point, 'P');
        expect(uncompressed).toEqual(p256.Point.fromBytes(point).toBytes(false));
        expect(compressSec1(uncompressed, 'P')).toEqual(point);
        expect(liftUncompressed(xOf(point))).toEqual(decompress(lift(xOf(point)), 'P'));
      }),
    );
  });

  it.each(refused)('refuse %s', (_, hex) => {
    expect(() => decompress(fromHex(hex, 'point'), 'P')).toThrow(malformed);
    expect(() => multiplyX(new Uint8Array(32).fill(1), fromHex(hex, 'point') as Bytes as CompressedPoint, 'P')).toThrow(malformed);
  });

  it('refuse an uncompressed form that is off the curve, or not uncompressed', () => {
    const point = decompress(multiple(3n), 'G');
    for (const wrong of [point.with(40, (point[40] as number) ^ 1), point.with(0, 3), point.slice(1), new Uint8Array(65)])
      expect(() => compressSec1(wrong, 'P')).toThrow(malformed);
  });
});

describe('multiplication by a tweak', () => {
  it('gives the x of what noble gives', () => {
    fc.assert(
      fc.property(scalar, scalar, (e, tweak) => {
        expect(multiplyX(Fn.toBytes(tweak) as Bytes, multiple(e), 'P')).toEqual(xOf(multiple(Fn.mul(e, tweak))));
      }),
      { numRuns: 1000 },
    );
  });

  it.each([1n, 2n, ORDER - 2n, ORDER - 1n])('holds for the tweak %s', (tweak) =>
    expect(multiplyX(Fn.toBytes(tweak) as Bytes, multiple(5n), 'P')).toEqual(xOf(multiple(Fn.mul(5n, tweak)))),
  );
});
