import { randomBytes } from 'node:crypto';
import { p256 } from '@noble/curves/nist.js';
import { afterAll, describe, expect, it, vi } from 'vitest';
import type { ErrorCode } from '../../primitives/errors.ts';
import type { CompressedPoint } from '../../protocol/point.ts';
import { tweakFrom } from '../../protocol/scalar.ts';
import {
  offerTranscript,
  preparedTranscript,
  proofTranscript,
  receiptTranscript,
  releasedTranscript,
  subRecordTranscript,
  ticketTranscript,
  tweakTranscript,
} from '../../protocol/transcripts.ts';
import { xOf } from '../../protocol/x-coordinate.ts';
import { makeTestToken, pin } from '../../test/harness/test-token.ts';
import { openReplica } from './keys/replica.ts';
import type { StoredGeneration } from './port.ts';
import { hmac, multiple, multiply, scalarWithLeadingZero, signWith } from './reference.ts';
import { enrol, recover, recoveryOf, ticketFields } from './software-device.ts';
import { evaluate, offer, prepare, release } from './steps.ts';
import { mac, sign } from './verify.ts';

const { Fn } = p256.Point;
const ORDER = Fn.ORDER;
const token = openReplica(makeTestToken(afterAll).location, pin());
afterAll(() => token.module.C_Finalize());

const { fleet, index, epoch } = token;
const record = enrol(token);
const { stored, a } = record;
const { rid, g, seed, bodyHash, enrolledAtMs } = stored;
const point = multiple(2n);
const asked = { rid, g, seed, point, ...ticketFields(a) };
const offered = offer(token, asked);
const previous = randomBytes(16);
const prepared = { rid, g, previous, seed, bodyHash, enrolledAtMs, point, ...offered };

const flip = (bytes: Uint8Array, at = bytes.length - 1): Uint8Array => bytes.map((byte, i) => (i === at ? byte ^ 1 : byte));
const failsWith = (code: ErrorCode) => expect.objectContaining({ name: 'VaultError', code });
const isSigned = (signature: Uint8Array, digest: Uint8Array): boolean =>
  p256.verify(signature, digest, token.identity.receiptKey, { prehash: false, lowS: false });
const evaluated = (generation: StoredGeneration, ofPoint: CompressedPoint) =>
  evaluate(token, { generation, point: ofPoint, attempt: 1, limit: 3, used: 1 });

const noPoints: [string, CompressedPoint][] = [
  ['one that is malformed', new Uint8Array(32) as CompressedPoint],
  ['infinity', new Uint8Array(33) as CompressedPoint],
  ['one off the curve', Uint8Array.of(2, ...new Uint8Array(31), 1) as CompressedPoint],
  [
    'x = p + 5',
    Uint8Array.from(Buffer.from('02ffffffff00000001000000000000000000000001000000000000000000000004', 'hex')) as CompressedPoint,
  ],
];

describe('offering', () => {
  it('binds the offer to its seed by the tag, and signs both', () => {
    const { seed: _, ...ticket } = asked;
    const { evaluated: z, releaseElement } = offered;
    const fields = { fleet, epoch, index, ...ticket, evaluated: z, releaseElement };
    expect(offered.tag).toEqual(hmac(seed, ticketTranscript(fields).digest));
    expect(isSigned(offered.signature, offerTranscript(fields, offered.tag).digest)).toBe(true);
  });

  it('says the same again for the same seed, and another thing for another seed, generation or record', () => {
    const elements = ({ evaluated: z, releaseElement }: ReturnType<typeof offer>) => [z, releaseElement];
    expect(elements(offer(token, { ...asked, nonce: randomBytes(16) }))).toEqual(elements(offered));
    for (const change of [{ seed: flip(seed) }, { g: flip(g) }, { rid: flip(rid) }])
      for (const [i, element] of elements(offer(token, { ...asked, ...change })).entries())
        expect(element).not.toEqual(elements(offered)[i]);
  });

  it.each(noPoints)('refuses %s', (_, wrong) => {
    expect(() => offer(token, { ...asked, point: wrong })).toThrow(failsWith('MALFORMED'));
    expect(() => offer(token, { ...asked, proofKey: wrong })).toThrow(failsWith('MALFORMED'));
  });

  it('refuses a seed of another length', () =>
    expect(() => offer(token, { ...asked, seed: new Uint8Array(31) })).toThrow(failsWith('MALFORMED')));
});

describe('preparing', () => {
  it('gives the MAC of the sub-record, and signs what was prepared', () => {
    const made = prepare(token, prepared);
    expect(made.mac).toEqual(mac(token, subRecordTranscript({ fleet, index, rid, g, bodyHash, seed, enrolledAtMs }).digest));
    const { digest } = preparedTranscript({ fleet, epoch, index, rid, g }, previous, bodyHash);
    expect(isSigned(made.signature, digest)).toBe(true);
  });

  it.each([
    ['an evaluation that was another', { evaluated: offered.releaseElement }, 'TOKEN_FAULT'],
    ['a release element that was another', { releaseElement: offered.evaluated }, 'TOKEN_FAULT'],
    ['a point that was another', { point: multiple(3n) }, 'TOKEN_FAULT'],
    ['a seed that was another', { seed: flip(seed) }, 'TOKEN_FAULT'],
    ['a generation that was another', { g: flip(g) }, 'TOKEN_FAULT'],
    ['a point off the curve', { point: noPoints[2]?.[1] as CompressedPoint }, 'MALFORMED'],
  ] as const)('refuses %s', (_, change, code) => expect(() => prepare(token, { ...prepared, ...change })).toThrow(failsWith(code)));
});

describe('evaluating', () => {
  const k = BigInt(`0x${Buffer.from(tweakOf('oprf')).toString('hex')}`);
  const product = multiply(token.identity.oprfKey, k);

  it.each([
    ['P = G', 1n],
    ['P = 2G', 2n],
    ['P = −G', ORDER - 1n],
    ['k·t·P with a leading zero in x', scalarWithLeadingZero(product, 2n)],
    ['t·P with a leading zero in x', scalarWithLeadingZero(multiple(k), 2n)],
  ])('agrees with software for %s', (_, e) => expect(evaluated(stored, multiple(e)).evaluated).toEqual(xOf(multiply(product, e))));

  it('signs the receipt', () => {
    const { evaluated: z, signature } = evaluated(stored, point);
    const receipt = { fleet, epoch, index, rid, g, attempt: 1, limit: 3, used: 1, point, evaluated: z, bodyHash, enrolledAtMs };
    expect(isSigned(signature, receiptTranscript(receipt).digest)).toBe(true);
    expect(isSigned(signature, receiptTranscript({ ...receipt, limit: 4 }).digest)).toBe(false);
    expect(isSigned(signature, receiptTranscript({ ...receipt, used: 2 }).digest)).toBe(false);
  });

  it.each(noPoints)('refuses %s', (_, wrong) => expect(() => evaluated(stored, wrong)).toThrow(failsWith('MALFORMED')));
});

describe('what is stored', () => {
  const release_ = (generation: StoredGeneration) => release(token, { ...recoveryOf(token, record).request, generation });
  const changes: [string, Partial<StoredGeneration>][] = [
    ['a MAC that is forged', { mac: flip(stored.mac) }],
    ['a seed of another generation', { seed: flip(seed) }],
    ['another time', { enrolledAtMs: enrolledAtMs + 1n }],
    ['another body', { bodyHash: flip(bodyHash) }],
    ['another g', { g: flip(g) }],
    ['another record', { rid: flip(rid) }],
  ];

  it.each(changes)('is refused with %s, before the point or the proof is looked at', (_, change) => {
    const generation = { ...stored, ...change };
    expect(() => evaluated(generation, point)).toThrow(failsWith('MAC_REFUSED'));
    expect(() => evaluated(generation, noPoints[2]?.[1] as CompressedPoint)).toThrow(failsWith('MAC_REFUSED'));
    expect(() => release_(generation)).toThrow(failsWith('MAC_REFUSED'));
  });

  it('is refused with a MAC cut short', () =>
    expect(() => evaluated({ ...stored, mac: stored.mac.slice(1) }, point)).toThrow(failsWith('MALFORMED')));
});

describe.each(['token', 'host'] as const)('releasing, where the proof is verified by the %s', (verify) => {
  const own = { ...token, profile: { ...token.profile, verify } };
  const { request } = recoveryOf(token, record);
  const { blindedBase, proof } = request;
  const transcript = { fleet, epoch, rid, g };
  const proofFor = (...[k, p, b, name = transcript]: [number, CompressedPoint, CompressedPoint, typeof transcript?]) =>
    signWith(a, proofTranscript(name, k, p, b).digest);

  it('gives back what the device masked its share with', () => expect(recover(own, record)).toEqual(record.opened));

  it('signs the answer', () => {
    const { released, signature } = release(own, request);
    const answer = { fleet, epoch, index, rid, g, attempt: 1, point: request.point, blindedBase, released, bodyHash };
    expect(isSigned(signature, releasedTranscript(answer).digest)).toBe(true);
    expect(isSigned(signature, releasedTranscript({ ...answer, attempt: 2 }).digest)).toBe(false);
  });

  it('takes s above q/2 as it takes one below: RFC 6979 gives both', () => {
    const other = Fn.toBytes(Fn.neg(Fn.fromBytes(proof.subarray(32))));
    expect(release(own, { ...request, proof: Uint8Array.of(...proof.subarray(0, 32), ...other) }).released).toHaveLength(32);
  });

  const order = Fn.toBytes(ORDER - 1n).map((byte, i) => (i === 31 ? byte + 1 : byte));
  it.each([
    ['a proof that is forged', { proof: flip(proof) }, 'PROOF_REFUSED'],
    ['a proof by another key', { proofKey: multiple(a + 1n) }, 'PROOF_REFUSED'],
    ['a proof for another attempt', { attempt: 2 }, 'PROOF_REFUSED'],
    ['a proof for another P', { point: multiple(8n) }, 'PROOF_REFUSED'],
    ['a proof for another B', { blindedBase: multiple(9n) }, 'PROOF_REFUSED'],
    ['a proof for another epoch', { proof: proofFor(1, request.point, blindedBase, { ...transcript, epoch: epoch + 1 }) }, 'PROOF_REFUSED'],
    [
      'a proof for another record',
      { proof: proofFor(1, request.point, blindedBase, { ...transcript, rid: flip(rid) as never }) },
      'PROOF_REFUSED',
    ],
    ['a proof with r = 0', { proof: Uint8Array.of(...new Uint8Array(32), ...proof.subarray(32)) }, 'PROOF_REFUSED'],
    ['a proof with s = 0', { proof: Uint8Array.of(...proof.subarray(0, 32), ...new Uint8Array(32)) }, 'PROOF_REFUSED'],
    ['a proof with r = q', { proof: Uint8Array.of(...order, ...proof.subarray(32)) }, 'PROOF_REFUSED'],
    ['a proof with s = q', { proof: Uint8Array.of(...proof.subarray(0, 32), ...order) }, 'PROOF_REFUSED'],
    ['a proof of zeros', { proof: new Uint8Array(64) }, 'PROOF_REFUSED'],
    ['a proof cut short', { proof: proof.slice(1) }, 'MALFORMED'],
  ] as const)('refuses %s', (_, change, code) => expect(() => release(own, { ...request, ...change })).toThrow(failsWith(code)));

  it('refuses r and s out of range before the token sees them', () => {
    const seen = vi.spyOn(token.session, 'verify');
    for (const part of [new Uint8Array(32), order])
      for (const wrong of [Uint8Array.of(...part, ...proof.subarray(32)), Uint8Array.of(...proof.subarray(0, 32), ...part)])
        expect(() => release(own, { ...request, proof: wrong })).toThrow(failsWith('PROOF_REFUSED'));
    expect(seen).toHaveBeenCalledTimes(4); // of the MAC alone
    seen.mockRestore();
  });

  it.each(noPoints)('refuses as B, and as A, %s', (_, wrong) => {
    const proved = { ...request, blindedBase: wrong, proof: proofFor(1, request.point, wrong) };
    expect(() => release(own, proved)).toThrow(failsWith('MALFORMED'));
    expect(() => release(own, { ...request, proofKey: wrong })).toThrow(failsWith('MALFORMED'));
  });
});

describe('the replica’s own keys', () => {
  const digest = randomBytes(32);

  it('sign transcripts so that anyone can verify them', () => {
    const signature = sign(token, digest);
    expect(signature).toHaveLength(64);
    expect(isSigned(signature, digest)).toBe(true);
    expect(() => sign(token, randomBytes(20))).toThrow(failsWith('MALFORMED'));
  });

  it('MAC transcripts, and nothing of another length', () => {
    expect(mac(token, digest)).toEqual(mac(token, digest));
    expect(() => mac(token, randomBytes(33))).toThrow(failsWith('MALFORMED'));
  });
});

it('leaves no more objects behind in the session than its readout keeps', () => {
  const objects = () => token.session.find({ token: false }, 1000).length;
  const { request } = recoveryOf(token, record);
  const all = () => {
    evaluated(stored, point);
    offer(token, asked);
    prepare(token, prepared);
    release(token, request);
    expect(() => release(token, { ...request, proof: flip(request.proof) })).toThrow();
    expect(() => prepare(token, { ...prepared, point: multiple(3n) })).toThrow();
  };
  all();
  expect(objects()).toBe(token.profile.readout.way === 'read' ? 0 : 1);
  all();
  expect(objects()).toBe(token.profile.readout.way === 'read' ? 0 : 1);
});

function tweakOf(use: 'oprf' | 'release'): Uint8Array {
  return tweakFrom(mac(token, tweakTranscript(use, { fleet, index, rid, g, seed }).digest));
}
