import { p256, p256_hasher, p256_oprf } from '@noble/curves/nist.js';
import { describe, expect, test } from 'vitest';
import { type Bytes, fromHex, toHex } from '../primitives/bytes.ts';
import { SecretBytes } from '../primitives/secret-bytes.ts';
import { parseCurveX } from './curve.ts';
import { blind, finalize } from './oprf.ts';

const { oprf } = p256_oprf;
const { Fn } = p256.Point;
const bytes = (hex: string) => fromHex(hex, 'test vector');

// RFC 9497 §A.3.1: OPRF(P-256, SHA-256), mode OPRF.
const secretKey = 0x159749d750713afe245d2d39ccfaae8381c53ce92d098a9375ee70739c7ac0bfn;
const vectors = [
  {
    input: '00',
    blinded: '03723a1e5c09b8b9c18d1dcbca29e8007e95f14f4732d9346d490ffc195110368d',
    evaluated: '030de02ffec47a1fd53efcdd1c6faf5bdc270912b8749e783c7ca75bb412958832',
    output: 'a0b34de5fa4c5b6da07e72af73cc507cceeb48981b97b7285fc375345fe495dd',
  },
  {
    input: '5a'.repeat(17),
    blinded: '03cc1df781f1c2240a64d1c297b3f3d16262ef5d4cf102734882675c26231b0838',
    evaluated: '03a0395fe3828f2476ffcd1f4fe540e5a8489322d398be3c4e5a869db7fcb7c52c',
    output: 'c748ca6dd327f0ce85f4ae3a8cd6d4d5390bbb804c9e12dcf94f853fece3dcce',
  },
];

/** The blind of the vectors, as noble draws it: FIPS 186-5 §A.2.1, 48 bytes modulo q − 1, plus 1. */
const random = (): Bytes => {
  const scalar = 0x3338fa65ec36e0290022b48eb562889d89dbfa691d1cde91517fa222ed7ad364n;
  return bytes((scalar - 1n).toString(16).padStart(96, '0'));
};

/** The unblinded element, by the key and not by the blind. */
const elementOf = (input: Uint8Array, key: bigint) => p256_hasher.hashToCurve(input, { DST: oprfDomain }).multiply(key);
const oprfDomain = 'HashToGroup-OPRFV1-\x00-P256-SHA256';
/** As the library has it, which knows of signs. */
const outputUnder = (key: bigint, input: Uint8Array) => oprf.finalize(input, Fn.toBytes(1n), elementOf(input, key).toBytes());
const isEven = (point: InstanceType<typeof p256.Point>) => point.toAffine().y % 2n === 0n;

describe.each(vectors)('RFC 9497 for the input $input', ({ input, blinded, evaluated, output }) => {
  const ours = () => blind(new SecretBytes(bytes(input)), random);
  const z = parseCurveX(bytes(evaluated).slice(1), 'Z');

  test('blinds as it says', () => {
    expect(toHex(ours().point)).toBe(blinded);
  });

  test('finalises as it says where the element is even, and as for the negative key where it is odd', () => {
    expect(toHex(outputUnder(secretKey, bytes(input)))).toBe(output);
    const isOwn = isEven(elementOf(bytes(input), secretKey));
    const expected = isOwn ? output : toHex(outputUnder(Fn.neg(secretKey), bytes(input)));
    expect(toHex(finalize(ours(), z))).toBe(expected);
  });
});

test('the output is the same for a key and its negative, under any blind', () => {
  const input = bytes('1234');
  const outputs = [secretKey, Fn.neg(secretKey)].flatMap((key) =>
    Array.from({ length: 4 }, () => {
      const blinded = blind(new SecretBytes(input));
      return toHex(finalize(blinded, parseCurveX(oprf.blindEvaluate(Fn.toBytes(key), blinded.point).slice(1), 'Z')));
    }),
  );
  expect(new Set(outputs).size).toBe(1);
});

test('each key has outputs of its own on both sides of the sign', () => {
  const sides = Array.from({ length: 12 }, (_, i) => {
    const input = Uint8Array.of(i);
    const blinded = blind(new SecretBytes(input));
    const z = parseCurveX(oprf.blindEvaluate(Fn.toBytes(secretKey), blinded.point).slice(1), 'Z');
    const isOwn = toHex(finalize(blinded, z)) === toHex(outputUnder(secretKey, input));
    expect(isOwn).toBe(isEven(elementOf(input, secretKey)));
    return isOwn;
  });
  expect(new Set(sides).size).toBe(2);
});
