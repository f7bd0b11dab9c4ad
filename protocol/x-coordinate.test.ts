import { p256 } from '@noble/curves/nist.js';
import { expect, test } from 'vitest';
import { parsePoint } from './point.ts';
import { lift, parseX, xOf } from './x-coordinate.ts';

test.each([0, 31, 33, 65])('an x coordinate of %i bytes is refused', (length) => {
  expect(() => parseX(new Uint8Array(length), 'x')).toThrow(expect.objectContaining({ code: 'MALFORMED' }));
});

test('a point and its negative have one x, which is lifted to the one of both with even y', () => {
  for (let i = 0; i < 8; i++) {
    const point = p256.Point.fromBytes(p256.keygen().publicKey);
    const [one, other] = [point, point.negate()].map((either) => xOf(parsePoint(either.toBytes(), 'point')));
    expect(one).toEqual(other);
    const even = point.toAffine().y % 2n === 0n ? point : point.negate();
    expect(lift(parseX(one as Uint8Array, 'x'))).toEqual(even.toBytes());
  }
});

test('what is cut from a point is no part of it', () => {
  const point = parsePoint(p256.Point.BASE.toBytes(), 'point');
  xOf(point).fill(0);
  expect(point).toEqual(p256.Point.BASE.toBytes());
});
