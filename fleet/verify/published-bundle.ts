import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { LRUCache } from 'lru-cache';
import { type Bytes, constantTimeEqual } from '../../primitives/bytes.ts';
import { isVaultError, VaultError } from '../../primitives/errors.ts';
import { type PublishedBundle, PublishedBundleSchema } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { parseProof, provesEntry } from '../log/proof.ts';
import { HASH_LENGTH, leafHash, makeConsistencyProof, type TreeHash, treeHash } from '../log/tree.ts';
import { parseLayer } from './cms.ts';
import { parseSmime } from './smime.ts';

/** Of the log: at 32 bytes each, what etcd takes in one value with room to spare. */
const LEAVES_MOST = 4096;
/** Statement, bundle and proof fit into one reply (protocol/message.ts), with 32 cosignatures of ML-DSA-44 in the proof: 107 KiB. */
const BUNDLE_MOST = 160 * 1024;
/** Of the whole in etcd. */
export const PUBLISHED_MOST = BUNDLE_MOST + LEAVES_MOST * (HASH_LENGTH + 2) + 64;

/** A published bundle that fits together. Whether to *trust* it is for whoever knows the authorities: nobody is known here. */
export interface FittingBundle {
  readonly smime: Bytes;
  readonly logProof: Bytes;
  /** Of the checkpoint in the proof. */
  readonly treeSize: number;
  /** From the log as it was with so many entries to the checkpoint; empty for a size that it never had. */
  consistencyFrom(oldSize: number): readonly TreeHash[];
}

/**
 * Reads what an operator published for one statement. Throws MALFORMED or TOO_LARGE for what would not help a client that got it: another
 * statement inside, a proof that does not hold it, leaves of another tree.
 */
export function parsePublished(bytes: Uint8Array, statement: Uint8Array): FittingBundle {
  if (bytes.length > PUBLISHED_MOST)
    throw new VaultError('TOO_LARGE', `The bundle has ${bytes.length} bytes; ${PUBLISHED_MOST} are the most.`);
  const { smime, logProof, leafHashes } = decode(bytes);
  if (smime.length + logProof.length > BUNDLE_MOST || leafHashes.length > LEAVES_MOST)
    throw new VaultError('TOO_LARGE', `A bundle has at most ${BUNDLE_MOST} bytes, its log ${LEAVES_MOST} entries.`);
  if (!constantTimeEqual(enclosed(smime), statement)) throw unfit('what it holds is not the statement that it is published for');
  const proof = parseProof(logProof);
  const { size, root } = proof.checkpoint;
  if (
    leafHashes.length !== size ||
    !leafHashes.every((hash) => hash.length === HASH_LENGTH) ||
    !constantTimeEqual(treeHash(leafHashes), root)
  )
    throw unfit('its hashes are not the leaves of the tree that the checkpoint names');
  if (!provesEntry(proof, statement) || !constantTimeEqual(leafHashes[proof.index] as TreeHash, leafHash(statement)))
    throw unfit('its proof does not show that the log holds the statement');
  // A proof takes as many hashes as the log has entries, so each is made once: clients remember few sizes.
  const proofs = new LRUCache({ max: LEAVES_MOST, memoMethod: (oldSize: number) => proveFrom(oldSize, leafHashes) });
  return { smime, logProof, treeSize: size, consistencyFrom: (oldSize) => proofs.memo(oldSize) };
}

/** For etcd. */
export const encodePublished = (published: PublishedBundle): Bytes => toBinary(PublishedBundleSchema, published);

function decode(bytes: Uint8Array): { smime: Bytes; logProof: Bytes; leafHashes: TreeHash[] } {
  try {
    const { smime, logProof, leafHashes } = fromBinary(PublishedBundleSchema, bytes);
    return { smime: smime as Bytes, logProof: logProof as Bytes, leafHashes: leafHashes as TreeHash[] };
  } catch (cause) {
    throw new VaultError('MALFORMED', 'The bundle is not a message of this version.', { cause });
  }
}

/** What lies inside both layers, whoever signed them. Throws MALFORMED. */
export function enclosed(smime: Uint8Array): Bytes {
  try {
    return parseLayer(parseSmime(parseLayer(parseSmime(smime)).content)).content;
  } catch (cause) {
    if (!isVaultError(cause)) throw cause;
    throw new VaultError('MALFORMED', `The bundle is refused: ${cause.message}`, { cause });
  }
}

function proveFrom(oldSize: number, leaves: readonly TreeHash[]): readonly TreeHash[] {
  return Number.isSafeInteger(oldSize) && oldSize > 0 && oldSize <= leaves.length ? makeConsistencyProof(oldSize, leaves) : [];
}

const unfit = (why: string) => new VaultError('MALFORMED', `The bundle is refused: ${why}.`);
