import { constantTimeEqual } from '../../primitives/bytes.ts';
import { leftSize, nodeHash, type TreeHash, treeHash } from './tree.ts';

/** PATH(index, D[n]) of RFC 6962 §2.1.1: from the leaf's sibling up to the root's child. Throws RangeError for a leaf not in the tree. */
export function makeInclusionProof(index: number, leaves: readonly TreeHash[]): TreeHash[] {
  if (!Number.isInteger(index) || index < 0 || index >= leaves.length) throw new RangeError(`the tree has no leaf ${index}`);
  if (leaves.length === 1) return [];
  const k = leftSize(leaves.length);
  const [left, right] = [leaves.slice(0, k), leaves.slice(k)];
  return index < k ? [...makeInclusionProof(index, left), treeHash(right)] : [...makeInclusionProof(index - k, right), treeHash(left)];
}

export interface Inclusion {
  readonly index: number;
  readonly size: number;
  readonly leaf: TreeHash;
  readonly root: TreeHash;
  readonly proof: readonly TreeHash[];
}

/** Is the leaf the one at `index` of the tree with this root and size? (RFC 9162 §2.1.3.2) */
export function verifyInclusion({ index, size, leaf, root, proof }: Inclusion): boolean {
  if (!Number.isSafeInteger(index) || !Number.isSafeInteger(size) || index < 0 || index >= size) return false;
  let [node, last, hash] = [index, size - 1, leaf];
  for (const sibling of proof) {
    if (last === 0) return false; // longer than the path
    if (node % 2 === 1 || node === last) {
      hash = nodeHash(sibling, hash);
      // A node at the right edge without a sibling is its own parent: up, until it is a right child.
      while (node % 2 === 0 && node !== 0) [node, last] = [node / 2, half(last)];
    } else hash = nodeHash(hash, sibling);
    [node, last] = [half(node), half(last)];
  }
  return last === 0 && constantTimeEqual(hash, root);
}

// Not a shift: JavaScript's know 32 bits.
const half = (n: number): number => Math.floor(n / 2);
