import { createECDH, createHash, randomBytes } from 'node:crypto';
import { p256, p256_oprf } from '@noble/curves/nist.js';
import pkcs11js from 'pkcs11js';
import { afterAll, describe, expect, it } from 'vitest';
import { concat, fromHex, toHex, utf8 } from '../../primitives/bytes.ts';
import { type CompressedPoint, parsePoint } from '../../protocol/point.ts';
import { tweakFrom } from '../../protocol/scalar.ts';
import { subRecordTranscript, tweakTranscript } from '../../protocol/transcripts.ts';
import { lift, xOf } from '../../protocol/x-coordinate.ts';
import { makeTestToken, pin, tokenUnderTest } from '../../test/harness/test-token.ts';
import { openReplica, type ReplicaToken } from './keys/replica.ts';
import type { KeyHandle } from './pkcs11/session.ts';
import { multiple, multiply } from './reference.ts';
import { evaluate } from './steps.ts';
import { mac } from './verify.ts';

// RFC 9497 appendix A.3.1: P256-SHA256, mode OPRF. All the vectors that it has for it.
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

const { Fn } = p256.Point;
const ORDER = Fn.ORDER;
const toInteger = (bytes: Uint8Array): bigint => BigInt(`0x${Buffer.from(bytes).toString('hex')}`);
const sk = Fn.fromBytes(fromHex(skS, 'skS'));

const token = openReplica(makeTestToken(afterAll).location, pin());
afterAll(() => token.module.C_Finalize());

/** A key of this token whose value is known: for this test alone. */
const importKey = (scalar: bigint): KeyHandle =>
  token.session.create({
    class: pkcs11js.CKO_PRIVATE_KEY,
    keyType: pkcs11js.CKK_EC,
    token: false,
    private: true,
    sensitive: true,
    extractable: false,
    derive: true,
    ecParams: fromHex('06082a8648ce3d030107', 'P-256'),
    value: Fn.toBytes(scalar),
  });

const withKey = (key: KeyHandle): ReplicaToken => ({ ...token, keys: { ...token.keys, oprf: key } });

/** A stored generation of this token, and its tweak. */
function generation() {
  const [rid, g, seed, bodyHash] = [randomBytes(32), randomBytes(16), randomBytes(32), randomBytes(32)];
  const { fleet, index, epoch } = token;
  const named = { fleet, index, rid, g, seed };
  const tweak = toInteger(tweakFrom(mac(token, tweakTranscript('oprf', named).digest)));
  const tag = mac(token, subRecordTranscript({ ...named, bodyHash, enrolledAtMs: 1n }).digest);
  return { tweak, stored: { epoch, rid, g, seed, bodyHash, enrolledAtMs: 1n, mac: tag } };
}

/** RFC 9497 §3.3.1. */
const outputOf = (input: Uint8Array, element: Uint8Array): string => {
  const framed = (bytes: Uint8Array) => concat(Uint8Array.of(bytes.length >> 8, bytes.length & 255), bytes);
  return createHash('sha256').update(framed(input)).update(framed(element)).update(utf8('Finalize')).digest('hex');
};

function generatePoint(random: ReturnType<typeof createECDH>): CompressedPoint {
  random.generateKeys();
  return parsePoint(new Uint8Array(random.getPublicKey(null, 'compressed')), 'P');
}

/** SoftHSM2's plain way takes all 10 000; the others differ in the token and in the readout, and some are slow. */
const ROUNDS = tokenUnderTest === 'softhsm2' ? 10_000 : 300;

/** noble draws 48 bytes and takes them modulo n − 1, plus 1. */
const randomnessFor = (scalar: string): Uint8Array => fromHex((BigInt(`0x${scalar}`) - 1n).toString(16).padStart(96, '0'), 'scalar');

describe('RFC 9497, P256-SHA256, mode OPRF, with a key of sk·t⁻¹ in the token', () => {
  it.each(vectors)('reproduces the vector for input $input, up to sign', ({ input, blindedElement, evaluationElement, output }) => {
    const bytes = fromHex(input, 'input');
    const point = parsePoint(fromHex(blindedElement, 'point'), 'point');
    expect(toHex(p256_oprf.oprf.blind(bytes, () => randomnessFor(blind)).blinded)).toBe(blindedElement);

    const { tweak, stored } = generation();
    const key = importKey(Fn.mul(sk, Fn.inv(tweak)));
    const { evaluated } = evaluate(withKey(key), { generation: stored, point, attempt: 1, limit: 3, used: 1 });
    token.session.destroy(key);
    expect(toHex(evaluated)).toBe(evaluationElement.slice(2));

    // As the client does: N or −N, whichever has even y.
    const unblinded = lift(xOf(multiply(lift(evaluated), Fn.inv(BigInt(`0x${blind}`)))));
    const theirs = multiply(parsePoint(fromHex(evaluationElement, 'Z'), 'Z'), Fn.inv(BigInt(`0x${blind}`)));
    expect(outputOf(bytes, theirs)).toBe(output);
    const negated = multiply(theirs, ORDER - 1n); // what −sk evaluates to
    expect(outputOf(bytes, unblinded)).toBe(theirs[0] === 2 ? output : outputOf(bytes, negated));
  });

  it.each([ROUNDS])('agrees with software for %i random points and tweaks', (rounds) => {
    const k = Fn.fromBytes(p256.utils.randomSecretKey());
    const own = withKey(importKey(k));
    const random = createECDH('prime256v1');
    for (let i = 0; i < rounds; i++) {
      const point = generatePoint(random);
      const e = toInteger(random.getPrivateKey());
      const { tweak, stored } = generation();
      const { evaluated } = evaluate(own, { generation: stored, point, attempt: 1, limit: 3, used: 1 });
      expect(evaluated).toEqual(xOf(multiple(Fn.mul(Fn.mul(k, tweak), e))));
    }
  });
});
