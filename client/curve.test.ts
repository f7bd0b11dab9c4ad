import { p256 } from '@noble/curves/nist.js';
import { describe, expect, test } from 'vitest';
import { type Bytes, fromHex, toHex } from '../primitives/bytes.ts';
import { SecretBytes } from '../primitives/secret-bytes.ts';
import { curveXOf, divide, liftX, multiply, parseCurvePoint, parseCurveX, publicKeyOf, randomScalar } from './curve.ts';

const { Point } = p256;
const { Fp, Fn } = Point;
const refused = expect.objectContaining({ code: 'REPLY_UNTRUSTED' });

/** Small numbers, some of which are an x of the curve and some not. */
const small = Array.from({ length: 30 }, (_, x) => Fp.toBytes(BigInt(x)) as Bytes);
const isOnCurve = (x: Uint8Array) => {
  try {
    Fp.sqrt(Point.CURVE().b + Fp.fromBytes(x) ** 3n - 3n * Fp.fromBytes(x));
    return true;
  } catch {
    return false;
  }
};
const [on, off] = [small.filter(isOnCurve), small.filter((x) => !isOnCurve(x))];
const beyond = fromHex((Fp.ORDER + Fp.fromBytes(on[1] as Bytes)).toString(16).padStart(64, '0'), 'x'); // p + x

describe('an x coordinate from outside', () => {
  test.each(on.map((x) => ({ x })))('is taken when it is one of the curve: $x', ({ x }) => {
    expect(parseCurveX(x, 'x')).toEqual(x);
  });
  test.each([
    ...off.map((x) => ({ what: 'not on the curve', x })),
    { what: 'not reduced', x: beyond },
    { what: 'the prime', x: fromHex(Fp.ORDER.toString(16), 'p') },
    { what: 'of 31 bytes', x: new Uint8Array(31) },
    { what: 'of 33 bytes', x: new Uint8Array(33) },
    { what: 'of no bytes', x: new Uint8Array(0) },
  ])('is refused when it is $what', ({ x }) => {
    expect(() => parseCurveX(x, 'x')).toThrow(refused);
  });
});

test('a point from outside is refused when it is not on the curve, or in another form', () => {
  const { BASE } = Point;
  expect(parseCurvePoint(BASE.toBytes(), 'point')).toEqual(BASE.toBytes());
  for (const bytes of [Uint8Array.of(2, ...(off[0] as Bytes)), BASE.toBytes(false), new Uint8Array(33), new Uint8Array(1)])
    expect(() => parseCurvePoint(bytes, 'point')).toThrow(refused);
});

test('an x coordinate is lifted to the even one of its points', () => {
  for (const x of on) expect(Point.fromBytes(liftX(parseCurveX(x, 'x'))).toAffine().y % 2n).toBe(0n);
});

test('what was multiplied is divided again, up to sign where only x is known', () => {
  for (let i = 0; i < 10; i++) {
    const [key, blind] = [randomScalar(), randomScalar()];
    const point = publicKeyOf(key.expose());
    const there = multiply(point, blind);
    expect(divide(there, blind)).toEqual(point);
    expect(curveXOf(divide(liftX(curveXOf(there)), blind))).toEqual(curveXOf(point));
  }
});

test('products are those of the group', () => {
  const three = new SecretBytes(Fn.toBytes(3n));
  const { BASE } = Point;
  expect(toHex(multiply(publicKeyOf(Fn.toBytes(5n)), three))).toBe(BASE.multiply(15n).toHex());
  expect(toHex(divide(publicKeyOf(Fn.toBytes(15n)), three))).toBe(BASE.multiply(5n).toHex());
});
