import { clone, create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { p256 } from '@noble/curves/nist.js';
import { expect, test } from 'vitest';
import { concat } from '../primitives/bytes.ts';
import { type Body, BodySchema, type Share } from '../proto/gen/backupvault/v1/record_pb.ts';
import { bytesFor, goldenBody } from '../test/golden/arguments.ts';
import { comesAfter, MAX_REPLICAS, parseBody, shareOf } from './body.ts';
import { bodyTranscript } from './transcripts.ts';

const malformed = expect.objectContaining({ code: 'MALFORMED' });

function bodyWith(change: (body: Body) => unknown): Body {
  const body = clone(BodySchema, goldenBody);
  change(body);
  return body;
}
const shareWith = (change: Partial<Share>, at = 1) => bodyWith(({ shares }) => Object.assign(shares[at] as Share, change));
const point = (point: InstanceType<typeof p256.Point>) => point.toBytes();
const { BASE } = p256.Point;

test('a body whose every length and range is right is parsed, and hashed', () => {
  const { body, bodyHash } = parseBody(goldenBody);
  expect(body).toBe(goldenBody);
  expect(bodyHash).toEqual(bodyTranscript(goldenBody).digest);
  expect(shareOf(body, 2)).toBe(goldenBody.shares[1]);
  expect(shareOf(body, 4)).toBeUndefined();
});

test.each<[string, Body]>([
  ['the first of a record', bodyWith((body) => Object.assign(body, { previous: new Uint8Array(0), line: body.g }))],
  ['every replica for its threshold', bodyWith((body) => Object.assign(body, { threshold: 3 }))],
  ['a release base next to G', bodyWith((body) => Object.assign(body, { releaseBase: point(BASE.double()) }))],
])('so is one with %s', (_, body) => {
  expect(() => parseBody(body)).not.toThrow();
});

test.each<[string, Body | undefined]>([
  ['that is missing', undefined],
  ['of another version', bodyWith((body) => Object.assign(body, { version: 2 }))],
  ['with a short rid', bodyWith((body) => Object.assign(body, { rid: bytesFor('rid', 31) }))],
  ['with a long g', bodyWith((body) => Object.assign(body, { g: bytesFor('g', 17) }))],
  ['with an owner key of 33 bytes', bodyWith((body) => Object.assign(body, { ownerKey: bytesFor('owner', 33) }))],
  ['with a previous g of 15 bytes', bodyWith((body) => Object.assign(body, { previous: bytesFor('previous', 15) }))],
  ['with a payload that is too short', bodyWith((body) => Object.assign(body, { payload: bytesFor('payload', 59) }))],
  ['with a payload that is too long', bodyWith((body) => Object.assign(body, { payload: bytesFor('payload', 61) }))],
  ['without a proof key', bodyWith((body) => Object.assign(body, { proofKey: new Uint8Array(0) }))],
  ['with a proof key that is no compressed point', bodyWith((body) => Object.assign(body, { proofKey: new Uint8Array(33).fill(4) }))],
  ['with an uncompressed proof key', bodyWith((body) => Object.assign(body, { proofKey: BASE.toBytes(false) }))],
  ['without a release base', bodyWith((body) => Object.assign(body, { releaseBase: new Uint8Array(0) }))],
  ['with the point at infinity for a release base', bodyWith((body) => Object.assign(body, { releaseBase: Uint8Array.of(0) }))],
  ['with G for a release base', bodyWith((body) => Object.assign(body, { releaseBase: point(BASE) }))],
  ['with −G for a release base', bodyWith((body) => Object.assign(body, { releaseBase: point(BASE.negate()) }))],
  ['without a policy', bodyWith((body) => Object.assign(body, { policy: undefined }))],
  ['with a limit of none', bodyWith(({ policy }) => Object.assign(policy ?? {}, { limit: 0 }))],
  ['with a limit over 100', bodyWith(({ policy }) => Object.assign(policy ?? {}, { limit: 101 }))],
  ['with a cool-down over a day', bodyWith(({ policy }) => Object.assign(policy ?? {}, { coolDownMs: 86_400_001n }))],
  ['with a threshold of one', bodyWith((body) => Object.assign(body, { threshold: 1 }))],
  ['with fewer shares than its threshold', bodyWith((body) => Object.assign(body, { threshold: 4 }))],
  ['with more shares than a fleet has replicas', bodyWith(({ shares }) => shares.push(...manyShares(MAX_REPLICAS - 2)))],
  ['with a share of no replica', shareWith({ index: 0 }, 0)],
  ['with a share of a replica that no fleet has', shareWith({ index: 100 }, 2)],
  ['with two shares of one replica', shareWith({ index: 1 })],
  ['with shares out of order', bodyWith(({ shares }) => shares.reverse())],
  ['with a share at 0', shareWith({ x: 0 })],
  ['with a share at 256', shareWith({ x: 256 })],
  ['with two shares at one x', shareWith({ x: 10 })],
  ['with a short mask', shareWith({ mask: bytesFor('mask', 31) })],
  ['with a short release mask', shareWith({ releaseMask: bytesFor('mask', 31) })],
  ['without a release mask', shareWith({ releaseMask: new Uint8Array(0) })],
  ['with a field that this version does not know', withUnknownField(goldenBody)],
  ['that is of another one’s line, and replaces nothing', bodyWith((body) => Object.assign(body, { previous: new Uint8Array(0) }))],
  ['without a line', bodyWith((body) => Object.assign(body, { line: new Uint8Array(0) }))],
])('a body %s is refused', (_, body) => {
  expect(() => parseBody(body)).toThrow(malformed);
});

function manyShares(count: number): Share[] {
  const of = (index: number) => ({ index, x: 100 + index, mask: bytesFor('mask'), releaseMask: bytesFor('mask') });
  return create(BodySchema, { shares: Array.from({ length: count }, (_, i) => of(4 + i)) }).shares;
}

function withUnknownField(body: Body): Body {
  return fromBinary(BodySchema, concat(toBinary(BodySchema, body), Uint8Array.of(0x80, 1, 1))); // field 16
}

const LINE = new Uint8Array(16).fill(9);
const numbered = (epoch: bigint, number: bigint, { g = 1, line = LINE } = {}) =>
  parseBody(bodyWith((body) => Object.assign(body, { epoch, number, line, g: new Uint8Array(16).fill(g) })));

test.each([
  ['a higher number', numbered(7n, 3n), numbered(7n, 2n)],
  ['a higher epoch, whatever the numbers', numbered(8n, 1n), numbered(7n, 9n)],
])('of two generations of one line that of %s comes after', (_, later, earlier) => {
  expect(comesAfter(later, earlier)).toBe(true);
  expect(comesAfter(earlier, later)).toBe(false);
  expect(comesAfter(later, later)).toBe(false);
});

test('of two that replace the same one, exactly one comes after', () => {
  const [a, b] = [numbered(7n, 2n, { g: 1 }), numbered(7n, 2n, { g: 2 })];
  expect([comesAfter(a, b), comesAfter(b, a)].sort()).toEqual([false, true]);
});

test('nothing comes after what is of another line', () => {
  const other = numbered(9n, 9n, { line: new Uint8Array(16).fill(8) });
  for (const each of [numbered(7n, 2n), numbered(9n, 9n)]) {
    expect(comesAfter(other, each)).toBe(false);
    expect(comesAfter(each, other)).toBe(false);
  }
});
