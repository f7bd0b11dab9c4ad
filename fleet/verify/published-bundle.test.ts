import { create } from '@bufbuild/protobuf';
import { beforeAll, expect, test } from 'vitest';
import { type Bytes, utf8 } from '../../primitives/bytes.ts';
import { type PublishedBundle, PublishedBundleSchema } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { MAX_REPLY_LENGTH } from '../../protocol/message.ts';
import { SoftNotary } from '../../test/harness/soft-notary.ts';
import { softMlDsaKey } from '../../test/harness/test-log.ts';
import { formatProof, parseProof } from '../log/proof.ts';
import { type TreeHash, treeHash, verifyConsistency } from '../log/tree.ts';
import { encodePublished, PUBLISHED_MOST, parsePublished } from './published-bundle.ts';

const now = Date.UTC(2026, 5, 1);
const statements = ['one', 'two', 'three'].map((text) => utf8(`{"statement":"${text}"}`)) as [Bytes, Bytes, Bytes];
let notary: SoftNotary;
let published: PublishedBundle;

beforeAll(async () => {
  notary = await SoftNotary.create(now);
  notary.append(...statements);
  published = notary.publish(statements[1], now);
});

test('what fits is read, and proves that the log continues from any size that it had', () => {
  const { smime, logProof, treeSize, consistencyFrom } = parsePublished(encodePublished(published), statements[1]);
  expect({ smime, logProof, treeSize }).toEqual({ smime: published.smime, logProof: published.logProof, treeSize: 3 });
  const root = treeHash(notary.leaves);
  for (const oldSize of [1, 2, 3]) {
    const oldRoot = treeHash(notary.leaves.slice(0, oldSize));
    expect(verifyConsistency({ oldSize, oldRoot, size: 3, root, proof: consistencyFrom(oldSize) })).toBe(true);
  }
  for (const never of [0, 4, -1, 1.5, Number.NaN, 2 ** 64]) expect(consistencyFrom(never)).toEqual([]);
});

test.each<[string, string, () => Partial<PublishedBundle>]>([
  ['for another statement', 'MALFORMED', () => ({ smime: notary.sign(statements[0], now) })],
  ['without S/MIME', 'MALFORMED', () => ({ smime: statements[1] })],
  ['with one layer', 'MALFORMED', () => ({ smime: utf8('MIME-Version: 1.0\n') })],
  ['with a proof of another entry', 'MALFORMED', () => ({ logProof: notary.publish(statements[0], now).logProof })],
  ['with a proof that leads elsewhere', 'MALFORMED', () => ({ logProof: elsewhere() })],
  ['without a proof', 'MALFORMED', () => ({ logProof: new Uint8Array(0) })],
  ['with too few leaves', 'MALFORMED', () => ({ leafHashes: notary.leaves.slice(0, 2) })],
  ['with leaves of another tree', 'MALFORMED', () => ({ leafHashes: notary.leaves.toReversed() })],
  ['with leaves that are no hashes', 'MALFORMED', () => ({ leafHashes: notary.leaves.map((leaf) => leaf.slice(0, 31) as TreeHash) })],
  ['that no reply would hold', 'TOO_LARGE', () => ({ smime: new Uint8Array(200_000) })],
  ['of a log that is too large', 'TOO_LARGE', () => ({ leafHashes: Array.from({ length: 4097 }, () => notary.leaves[0] as TreeHash) })],
])('a bundle %s is refused', (_what, code, changes) => {
  const bytes = encodePublished(create(PublishedBundleSchema, { ...published, ...changes() }));
  expect(() => parsePublished(bytes, statements[1])).toThrow(expect.objectContaining({ code }));
});

function elsewhere(): Uint8Array {
  const { index, note, hashes } = parseProof(published.logProof);
  return formatProof({ index, note, hashes: hashes.toReversed() });
}

test('what is no message, or larger than one may be, is refused before it is read', () => {
  expect(() => parsePublished(utf8('\xff\xff'), statements[1])).toThrow(expect.objectContaining({ code: 'MALFORMED' }));
  expect(() => parsePublished(new Uint8Array(PUBLISHED_MOST + 1), statements[1])).toThrow(expect.objectContaining({ code: 'TOO_LARGE' }));
});

test('the largest statement, whose checkpoint 32 witnesses cosigned with ML-DSA-44, fits into a reply', () => {
  const statement = utf8(JSON.stringify({ statement: 'x'.repeat(22 * 1024) })); // of nine replicas: protocol/message.ts
  const larger = notary.fork([statement]);
  const cosigners = Array.from({ length: 32 }, (_, i) => softMlDsaKey(`witness-${i}.example/backup-key-vault`));
  const { smime, logProof } = parsePublished(encodePublished(larger.publish(statement, now, cosigners)), statement);
  expect(parseProof(logProof).note.signatures).toHaveLength(34);
  expect(statement.length + smime.length + logProof.length + 63 * 34).toBeLessThan(MAX_REPLY_LENGTH);
});
