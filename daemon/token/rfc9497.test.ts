import { p256_oprf } from '@noble/curves/nist.js';
import pkcs11js from 'pkcs11js';
import { afterAll, describe, expect, it } from 'vitest';
import { fromHex, toHex } from '../../primitives/bytes.ts';
import { parsePoint } from '../../protocol/point.ts';
import { blindEvaluate } from './evaluate.ts';
import { openReplica } from './keys/replica.ts';
import { multiple } from './reference.ts';
import { makeTestToken, pin } from './testing.ts';

// RFC 9497 appendix A.3.1: P256-SHA256, mode OPRF
const skS = '159749d750713afe245d2d39ccfaae8381c53ce92d098a9375ee70739c7ac0bf';
const blind = '3338fa65ec36e0290022b48eb562889d89dbfa691d1cde91517fa222ed7ad364';
const vectors = [
  {
    input: '00',
    blindedElement: '03723a1e5c09b8b9c18d1dcbca29e8007e95f14f4732d9346d490ffc195110368d',
    evaluationElement: '030de02ffec47a1fd53efcdd1c6faf5bdc270912b8749e783c7ca75bb412958832',
    output: 'a0b34de5fa4c5b6da07e72af73cc507cceeb48981b97b7285fc375345fe495dd',
  },
  {
    input: '5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a',
    blindedElement: '03cc1df781f1c2240a64d1c297b3f3d16262ef5d4cf102734882675c26231b0838',
    evaluationElement: '03a0395fe3828f2476ffcd1f4fe540e5a8489322d398be3c4e5a869db7fcb7c52c',
    output: 'c748ca6dd327f0ce85f4ae3a8cd6d4d5390bbb804c9e12dcf94f853fece3dcce',
  },
];

/** noble draws 48 bytes and takes them modulo n − 1, plus 1. */
const randomnessFor = (scalar: string): Uint8Array => fromHex((BigInt(`0x${scalar}`) - 1n).toString(16).padStart(96, '0'), 'scalar');

const token = openReplica(makeTestToken(afterAll).location, pin());
const key = token.session.create({
  class: pkcs11js.CKO_PRIVATE_KEY,
  keyType: pkcs11js.CKK_EC,
  token: false,
  private: true,
  sensitive: true,
  extractable: false,
  derive: true,
  ecParams: fromHex('06082a8648ce3d030107', 'P-256'),
  value: fromHex(skS, 'skS'),
});
const publicKey = multiple(BigInt(`0x${skS}`));
afterAll(() => token.module.C_Finalize());

describe('RFC 9497, P256-SHA256, mode OPRF, with the key in the token', () => {
  it.each(vectors)('reproduces the vector for input $input', ({ input, blindedElement, evaluationElement, output }) => {
    const bytes = fromHex(input, 'input');
    const { blinded } = p256_oprf.oprf.blind(bytes, () => randomnessFor(blind));
    const evaluated = blindEvaluate(token, key, publicKey, parsePoint(fromHex(blindedElement, 'point'), 'point'));
    expect(toHex(blinded)).toBe(blindedElement);
    expect(toHex(evaluated)).toBe(evaluationElement);
    expect(toHex(p256_oprf.oprf.finalize(bytes, fromHex(blind, 'blind'), evaluated))).toBe(output);
  });

  it('refuses the public key of another key rather than guess a sign', () => {
    expect(() => blindEvaluate(token, key, multiple(5n), multiple(3n))).toThrow(expect.objectContaining({ code: 'TOKEN_FAULT' }));
  });
});
