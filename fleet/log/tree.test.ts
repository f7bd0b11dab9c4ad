import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fromHex, toHex } from '../../primitives/bytes.ts';
import {
  leafHash,
  makeConsistencyProof,
  makeInclusionProof,
  nodeHash,
  parseConsistency,
  type TreeHash,
  treeHash,
  verifyConsistency,
  verifyInclusion,
} from './tree.ts';

// The entries and roots of the reference tests of Certificate Transparency (google/certificate-transparency, merkle_tree_test.cc).
const entries = ['', '00', '10', '2021', '3031', '40414243', '5051525354555657', '606162636465666768696a6b6c6d6e6f'];
const leaves = entries.map((entry) => leafHash(fromHex(entry, 'entry')));
const roots = [
  'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855', // SHA-256 of nothing: RFC 6962 §2.1
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
];

test.each(roots.map((root, size) => [size, root]))('the root of the first %i reference entries', (size, root) => {
  expect(toHex(treeHash(leaves.slice(0, Number(size))))).toBe(root);
});

// RFC 6962 §2.1.3 draws a tree of seven leaves d0 … d6 and says which nodes each proof consists of.
describe('the example of RFC 6962 §2.1.3', () => {
  const [a, b, c, d, e, f, j] = leaves as [TreeHash, TreeHash, TreeHash, TreeHash, TreeHash, TreeHash, TreeHash];
  const [g, h, i] = [nodeHash(a, b), nodeHash(c, d), nodeHash(e, f)];
  const [k, l] = [nodeHash(g, h), nodeHash(i, j)];
  const seven = leaves.slice(0, 7);

  test.each([
    [0, [b, h, l]],
    [3, [c, g, l]],
    [4, [f, j, k]],
    [6, [i, k]],
  ])('the audit path of d%i', (index, path) => expect(makeInclusionProof(index, seven)).toEqual(path));

  test.each([
    [3, [c, d, g, l]],
    [4, [l]],
    [6, [i, j, k]],
  ])('the consistency proof from size %i', (size, proof) => expect(makeConsistencyProof(size, seven)).toEqual(proof));
});

const leavesOf = (size: number) => Array.from({ length: size }, (_, i) => leafHash(Uint8Array.of(i >> 8, i)));
const size = fc.integer({ min: 1, max: 70 });
const flip = (hash: TreeHash): TreeHash => hash.map((byte, i) => (i === 7 ? byte ^ 1 : byte)) as TreeHash;

test('every leaf of every tree has a proof that verifies, and for no other place, size, leaf or root', () => {
  fc.assert(
    fc.property(size, fc.nat(69), (n, place) => {
      const tree = leavesOf(n);
      const index = place % n;
      const good = { index, size: n, leaf: tree[index] as TreeHash, root: treeHash(tree), proof: makeInclusionProof(index, tree) };
      expect(verifyInclusion(good)).toBe(true);
      for (let other = -1; other <= n; other++) if (other !== index) expect(verifyInclusion({ ...good, index: other })).toBe(false);
      expect(verifyInclusion({ ...good, leaf: flip(good.leaf) })).toBe(false);
      expect(verifyInclusion({ ...good, root: flip(good.root) })).toBe(false);
      expect(verifyInclusion({ ...good, proof: [...good.proof, good.leaf] })).toBe(false);
      for (const i of good.proof.keys()) {
        expect(verifyInclusion({ ...good, proof: good.proof.toSpliced(i, 1) })).toBe(false);
        expect(verifyInclusion({ ...good, proof: good.proof.with(i, flip(good.proof[i] as TreeHash)) })).toBe(false);
      }
    }),
    { numRuns: 60 },
  );
});

test('a path that leads further than the tree is high proves nothing', () => {
  const four = leavesOf(4);
  const proof = makeInclusionProof(3, four);
  expect(verifyInclusion({ index: 3, size: 4, leaf: four[3] as TreeHash, root: treeHash(four), proof })).toBe(true);
  expect(verifyInclusion({ index: 1, size: 2, leaf: four[3] as TreeHash, root: treeHash(four), proof })).toBe(false);
});

test('every tree is consistent with its beginnings, and with nothing else', () => {
  fc.assert(
    fc.property(size, fc.nat(70), (n, place) => {
      const tree = leavesOf(n);
      const oldSize = place % (n + 1);
      const oldRoot = treeHash(tree.slice(0, oldSize));
      const good = { oldSize, oldRoot, size: n, root: treeHash(tree), proof: makeConsistencyProof(oldSize, tree) };
      expect(verifyConsistency(good)).toBe(true);
      expect(verifyConsistency({ ...good, oldRoot: flip(oldRoot) })).toBe(false);
      expect(verifyConsistency({ ...good, proof: [...good.proof, oldRoot] })).toBe(false);
      if (oldSize > 0) expect(verifyConsistency({ ...good, root: flip(good.root) })).toBe(false);
      for (const i of good.proof.keys()) {
        expect(verifyConsistency({ ...good, proof: good.proof.toSpliced(i, 1) })).toBe(false);
        expect(verifyConsistency({ ...good, proof: good.proof.with(i, flip(good.proof[i] as TreeHash)) })).toBe(false);
      }
      const forked = tree.with(0, flip(tree[0] as TreeHash));
      if (oldSize > 0)
        expect(verifyConsistency({ ...good, root: treeHash(forked), proof: makeConsistencyProof(oldSize, forked) })).toBe(false);
    }),
    { numRuns: 60 },
  );
});

test('a consistency proof between larger trees proves nothing of smaller ones', () => {
  const eight = leavesOf(8);
  const [oldRoot, root, proof] = [treeHash(eight.slice(0, 7)), treeHash(eight), makeConsistencyProof(7, eight)];
  expect(verifyConsistency({ oldSize: 7, oldRoot, size: 8, root, proof })).toBe(true);
  expect(verifyConsistency({ oldSize: 3, oldRoot, size: 4, root, proof })).toBe(false);
});

test('there is no proof for what was never there', () => {
  expect(() => makeInclusionProof(3, leaves.slice(0, 3))).toThrow(RangeError);
  expect(() => makeConsistencyProof(4, leaves.slice(0, 3))).toThrow(RangeError);
});

test.each([
  ['a hash of 31 bytes', [new Uint8Array(32), new Uint8Array(31)], 'must be 32 bytes, got 31'],
  ['a hash of 33 bytes', [new Uint8Array(33)], 'must be 32 bytes, got 33'],
  ['an empty hash', [new Uint8Array()], 'must be 32 bytes, got 0'],
  ['64 hashes', Array.from({ length: 64 }, () => new Uint8Array(32)), '63 hashes at most'],
])('no consistency proof has %s', (_what, hashes, why) => {
  expect(() => parseConsistency(hashes)).toThrow(expect.objectContaining({ code: 'MALFORMED', message: expect.stringContaining(why) }));
  expect(parseConsistency(hashes.slice(0, 63).map(() => leaves[0] as Uint8Array))).toHaveLength(Math.min(hashes.length, 63));
});
