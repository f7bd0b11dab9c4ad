import { sha256 } from '@noble/hashes/sha2.js';
import type { Brand } from '../../primitives/brand.ts';
import { type Bytes, concat } from '../../primitives/bytes.ts';

// Merkle trees of RFC 6962 §2.1, over SHA-256.

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
export const leftSize = (n: number): number => 2 ** Math.floor(Math.log2(n - 1));
