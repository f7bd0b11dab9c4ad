import { sha256 } from '@noble/hashes/sha2.js';
import type { Brand } from '../../primitives/brand.ts';
import { type Bytes, concat, constantTimeEqual, exactly } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';

// Merkle trees of RFC 6962 §2.1 over SHA-256, and their proofs.

export type TreeHash = Brand<Bytes, 'TreeHash'>;

export const HASH_LENGTH = 32;

// Different first bytes: no inner node can be passed off as a leaf.
const LEAF = Uint8Array.of(0);
const NODE = Uint8Array.of(1);

export const leafHash = (entry: Uint8Array): TreeHash => sha256(concat(LEAF, entry)) as TreeHash;
export const nodeHash = (left: Uint8Array, right: Uint8Array): TreeHash => sha256(concat(NODE, left, right)) as TreeHash;

/** MTH(D[n]), from the hashes of the leaves. */
export function treeHash(leaves: readonly TreeHash[]): TreeHash {
  if (leaves.length === 0) return sha256(new Uint8Array()) as TreeHash;
  const [only] = leaves;
  if (leaves.length === 1 && only) return only;
  const left = leftSize(leaves.length);
  return nodeHash(treeHash(leaves.slice(0, left)), treeHash(leaves.slice(left)));
}

/** k of the RFC: the largest power of two smaller than n, for n > 1. */
const leftSize = (n: number): number => 2 ** Math.floor(Math.log2(n - 1));

/** PATH(index, D[n]) of RFC 6962 §2.1.1: from the leaf's sibling up to the root's child. Throws RangeError for a leaf not in the tree. */
export function makeInclusionProof(index: number, leaves: readonly TreeHash[]): TreeHash[] {
  if (!Number.isInteger(index) || index < 0 || index >= leaves.length) throw new RangeError(`the tree has no leaf ${index}`);
  if (leaves.length === 1) return [];
  const k = leftSize(leaves.length);
  const [left, right] = [leaves.slice(0, k), leaves.slice(k)];
  return index < k ? [...makeInclusionProof(index, left), treeHash(right)] : [...makeInclusionProof(index - k, right), treeHash(left)];
}

/**
 * PROOF(oldSize, D[n]) of RFC 6962 §2.1.2. Empty for equal sizes, and from an empty tree, with which everything is consistent.
 * Throws RangeError for an old tree larger than the new one.
 */
export function makeConsistencyProof(oldSize: number, leaves: readonly TreeHash[]): TreeHash[] {
  if (!Number.isInteger(oldSize) || oldSize < 0 || oldSize > leaves.length) throw new RangeError(`the tree was never of size ${oldSize}`);
  return oldSize === 0 ? [] : subProof(oldSize, leaves, true);
}

function subProof(oldSize: number, leaves: readonly TreeHash[], isWhole: boolean): TreeHash[] {
  if (oldSize === leaves.length) return isWhole ? [] : [treeHash(leaves)];
  const k = leftSize(leaves.length);
  const [left, right] = [leaves.slice(0, k), leaves.slice(k)];
  return oldSize <= k ? [...subProof(oldSize, left, isWhole), treeHash(right)] : [...subProof(oldSize - k, right, false), treeHash(left)];
}

/** Of a tree with fewer than 2⁶³ leaves; c2sp.org/tlog-witness takes no more. */
const CONSISTENCY_MOST = 63;

/** A consistency proof from outside. Throws MALFORMED unless it is 63 hashes at most, of 32 bytes each: with others, one proof would read as two. */
export function parseConsistency(hashes: readonly Uint8Array[]): readonly TreeHash[] {
  if (hashes.length > CONSISTENCY_MOST)
    throw new VaultError('MALFORMED', `A consistency proof has ${CONSISTENCY_MOST} hashes at most; this one has ${hashes.length}.`);
  return hashes.map((hash) => exactly(HASH_LENGTH, hash, 'a hash of a consistency proof') as TreeHash);
}

/** A tree as its checkpoint names it, and the hashes that are to show something of it. */
interface Claimed {
  readonly size: number;
  readonly root: TreeHash;
  readonly proof: readonly TreeHash[];
}

/** Is the leaf the one at `index` of the tree with this root and size? (RFC 9162 §2.1.3.2) */
export function verifyInclusion({
  index,
  leaf,
  size,
  root,
  proof,
}: Claimed & { readonly index: number; readonly leaf: TreeHash }): boolean {
  if (!Number.isSafeInteger(index) || !Number.isSafeInteger(size) || index < 0 || index >= size) return false;
  let hash = leaf;
  const isPath = climb(index, size - 1, proof, (sibling, isLeft) => {
    hash = isLeft ? nodeHash(sibling, hash) : nodeHash(hash, sibling);
  });
  return isPath && constantTimeEqual(hash, root);
}

/** Does the new tree begin with the old one? (RFC 9162 §2.1.4.2) */
export function verifyConsistency(tree: Claimed & { readonly oldSize: number; readonly oldRoot: TreeHash }): boolean {
  const { oldSize, oldRoot, size, root, proof } = tree;
  if (!Number.isSafeInteger(oldSize) || !Number.isSafeInteger(size) || oldSize < 0 || oldSize > size) return false;
  if (oldSize === size) return proof.length === 0 && constantTimeEqual(oldRoot, root);
  if (oldSize === 0) return proof.length === 0 && constantTimeEqual(oldRoot, treeHash([]));
  let [node, last] = [oldSize - 1, size - 1];
  while (node % 2 === 1) [node, last] = [half(node), half(last)];
  // Where the old tree is a complete subtree of the new one, its root is where the path begins, and the proof leaves it out.
  const [first, ...rest] = node === 0 ? [oldRoot, ...proof] : proof;
  if (first === undefined || rest.length === 0) return false;
  let [oldHash, newHash] = [first, first];
  const isPath = climb(node, last, rest, (sibling, isLeft) => {
    if (isLeft) oldHash = nodeHash(sibling, oldHash);
    newHash = isLeft ? nodeHash(sibling, newHash) : nodeHash(newHash, sibling);
  });
  return isPath && constantTimeEqual(oldHash, oldRoot) && constantTimeEqual(newHash, root);
}

/** Goes up from a node, of whose level `end` is the last, and says of each sibling where it stands. False unless it ends at the root. */
function climb(from: number, end: number, path: readonly TreeHash[], join: (sibling: TreeHash, isLeft: boolean) => void): boolean {
  let [node, last] = [from, end];
  for (const sibling of path) {
    if (last === 0) return false; // longer than the path
    const isLeft = node % 2 === 1 || node === last;
    join(sibling, isLeft);
    // A node at the right edge without a sibling is its own parent: up, until it is a right child.
    while (isLeft && node % 2 === 0 && node !== 0) [node, last] = [half(node), half(last)];
    [node, last] = [half(node), half(last)];
  }
  return last === 0;
}

// Not a shift: JavaScript's know 32 bits.
const half = (n: number): number => Math.floor(n / 2);
