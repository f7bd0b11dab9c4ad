import { constantTimeEqual } from '../../primitives/bytes.ts';
import { leftSize, nodeHash, type TreeHash, treeHash } from './tree.ts';

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

export interface Consistency {
  readonly oldSize: number;
  readonly oldRoot: TreeHash;
  readonly size: number;
  readonly root: TreeHash;
  readonly proof: readonly TreeHash[];
}

/** Does the new tree begin with the old one? (RFC 9162 §2.1.4.2) */
export function verifyConsistency({ oldSize, oldRoot, size, root, proof }: Consistency): boolean {
  if (!Number.isSafeInteger(oldSize) || !Number.isSafeInteger(size) || oldSize < 0 || oldSize > size) return false;
  if (oldSize === size) return proof.length === 0 && constantTimeEqual(oldRoot, root);
  if (oldSize === 0) return proof.length === 0 && constantTimeEqual(oldRoot, treeHash([]));
  let [node, last] = [oldSize - 1, size - 1];
  while (node % 2 === 1) [node, last] = [half(node), half(last)];
  // Where the old tree is a complete subtree of the new one, its root is where the path begins, and the proof leaves it out.
  const [first, ...rest] = node === 0 ? [oldRoot, ...proof] : proof;
  if (first === undefined || rest.length === 0) return false;
  let [oldHash, newHash] = [first, first];
  for (const sibling of rest) {
    if (last === 0) return false; // longer than the path
    if (node % 2 === 1 || node === last) {
      oldHash = nodeHash(sibling, oldHash);
      newHash = nodeHash(sibling, newHash);
      while (node % 2 === 0 && node !== 0) [node, last] = [node / 2, half(last)];
    } else newHash = nodeHash(newHash, sibling);
    [node, last] = [half(node), half(last)];
  }
  return last === 0 && constantTimeEqual(oldHash, oldRoot) && constantTimeEqual(newHash, root);
}

const half = (n: number): number => Math.floor(n / 2);
