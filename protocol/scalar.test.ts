import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Bytes, fromHex, toHex } from '../primitives/bytes.ts';
import { expand, firstScalar, isScalar, ORDER, scalarFrom, tweakFrom } from './scalar.ts';

const Q = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
const bytes = (value: bigint): Bytes => fromHex(value.toString(16).padStart(64, '0'), 'scalar');
const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 });

describe('what is a scalar', () => {
  test.each([1n, 2n, Q / 2n, Q - 2n, Q - 1n])('%s is', (value) => {
    expect(isScalar(bytes(value))).toBe(true);
  });
  test.each([0n, Q, Q + 1n, Q + (1n << 32n), (1n << 256n) - 1n])('%s is not', (value) => {
    expect(isScalar(bytes(value))).toBe(false);
  });
  test.each([0, 1, 31, 33])('nor is one of %i bytes', (length) => {
    expect(isScalar(new Uint8Array(length).fill(1))).toBe(false);
  });
  test('is told as big integers tell it, also where few bytes differ from the order', () => {
    fc.assert(
      fc.property(fc.nat(31), fc.nat(255), bytes32, (at, byte, random) => {
        for (const value of [ORDER.with(at, byte), random as Bytes]) {
          const integer = BigInt(`0x${toHex(value)}`);
          expect(isScalar(value)).toBe(integer > 0n && integer < Q);
        }
      }),
    );
  });
});

describe('the first scalar of some blocks', () => {
  test('comes after zeros and blocks that are too large, which are wiped', () => {
    const refused = [bytes(0n), bytes(Q), bytes((1n << 256n) - 1n)];
    const [wanted, later] = [bytes(Q - 1n), bytes(7n)];
    expect(firstScalar([...refused, wanted, later])).toBe(wanted);
    for (const block of refused) expect(block).toEqual(bytes(0n));
    expect(later).toEqual(bytes(7n));
  });
  test('is not there where no block is one', () => {
    expect(() => firstScalar([bytes(0n), bytes(Q)])).toThrow(RangeError);
  });
});

test('the blocks are those of RFC 5869 §A.2', () => {
  const prk = fromHex('06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244', 'PRK');
  const info = Uint8Array.from({ length: 80 }, (_, i) => 0xb0 + i);
  const blocks = [...expand(prk, info)];
  expect(blocks.slice(0, 3).map(toHex).join('').slice(0, 164)).toBe(
    'b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c' +
      '59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71' +
      'cc30c58179ec3e87c14c01d5c1f3434f1d87',
  );
  expect(blocks.length).toBe(255);
});

test('a scalar is the first block of HKDF-Expand, as OpenSSL’s HMAC has it', () => {
  fc.assert(
    fc.property(bytes32, fc.uint8Array({ maxLength: 40 }), (prk, info) => {
      const block = createHmac('sha256', prk).update(info).update(Uint8Array.of(1)).digest();
      fc.pre(BigInt(`0x${toHex(block)}`) < Q);
      expect(toHex(scalarFrom(prk, info))).toBe(toHex(block));
    }),
  );
});

test('a tweak is the scalar of a MAC under one label, and leaves the MAC to be wiped by who made it', () => {
  const mac = bytes(5n);
  expect(tweakFrom(mac)).toEqual(scalarFrom(mac, new TextEncoder().encode('bkv/v1/scalar')));
  expect(mac).toEqual(bytes(5n));
});
