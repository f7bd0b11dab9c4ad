import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import { constantTimeEqual, exactly, toHex } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import { RecordState } from '../../proto/gen/backupvault/v1/record_pb.ts';
import type { PrepareRequest } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import { type Body, type HashedBody, isLater } from '../../protocol/body.ts';
import type { Transcript } from '../../protocol/transcript.ts';
import { approveTranscript, replaceTranscript, vetoTranscript } from '../../protocol/transcripts.ts';
import { binding, type Decided, type Guarded, parseShown } from '../ledger/guarded.ts';
import { preparedByEnough } from './evidence.ts';
import type { Vault } from './vault.ts';

/** How far a number may be above all that a guard knows: else etcd, with one lie, could use up the numbers of a record. */
const MOST_JUMP = 1n << 32n;

/**
 * A live generation is replaced only with the signature of its owner key, over exactly this replacement. The owner is the one
 * that this replica's guard knows; where the guard missed the last enrolment, the one in the body that etcd committed, which it is shown.
 * Throws OWNER_REFUSED, GENERATION_CONFLICT, NOT_ENOUGH_REPLICAS, MALFORMED.
 */
export async function expectMayReplace(
  vault: Vault,
  guarded: Guarded,
  next: HashedBody,
  request: Pick<PrepareRequest, 'ownerSignature' | 'replaced'>,
): Promise<void> {
  const { body } = next;
  const { before, live: replaced } = await replacedGeneration(vault, guarded, next, request.replaced);
  expectNext(guarded, body, before);
  if (replaced) expectOwner(vault, replaced, next, request.ownerSignature);
  if (!constantTimeEqual(body.line, replaced?.body.line ?? body.g)) throw conflict();
}

/** Throws OWNER_REFUSED. */
function expectOwner(
  { statement: { fleet, epoch } }: Vault,
  replaced: HashedBody,
  { body, bodyHash }: HashedBody,
  signature: Uint8Array,
): void {
  const transcript = replaceTranscript({ fleet, epoch, rid: body.rid, g: body.g }, replaced.body.g, bodyHash);
  if (signature.length > 0 && isSignedByOwner(replaced.body.ownerKey, transcript, exactly(64, signature, 'owner_signature'))) return;
  throw new VaultError('OWNER_REFUSED', 'A live record is replaced only with its owner key: recover first, or have the frontend erase it.');
}

/** RFC 8032, over the hash of the transcript. */
export const isSignedByOwner = (ownerKey: Uint8Array, { digest }: Transcript, signature: Uint8Array): boolean =>
  signature.length === 64 && verify(null, digest, ed25519(ownerKey), signature);

/** About an attempt that is held. */
export function isSaidByOwner(fleet: string, { rid, g, ownerKey }: Body, decided: Decided): boolean {
  const { attempt, pointHash, isVeto, signature, blindedBase } = decided;
  const held = { fleet, rid, g, attempt, pointHash };
  return isSignedByOwner(ownerKey, isVeto ? vetoTranscript(held) : approveTranscript(held, blindedBase), signature);
}

/** Generations are numbered, so that of two the later one can be told without etcd. Throws GENERATION_CONFLICT. */
function expectNext({ live, destroyed }: Guarded, body: Body, before: bigint): void {
  const known = [...(live ? [live.body] : []), ...destroyed];
  const jumps = [0n, ...known.map(({ number }) => number)].every((number) => body.number > number + MOST_JUMP);
  if (body.number !== before + 1n || known.some((each) => !isLater(body, each)) || jumps) throw conflict();
}

interface Replaced {
  /** Its number; 0 where there was none. */
  readonly before: bigint;
  /** The generation whose owner must agree; undefined where nothing live is replaced. */
  readonly live: HashedBody | undefined;
}

/**
 * What etcd says is not believed against what this guard holds: not that its line is over, nor that another one has the record, nor whose that is.
 * Throws GENERATION_CONFLICT, NOT_ENOUGH_REPLICAS, MALFORMED.
 */
async function replacedGeneration(
  vault: Vault,
  guarded: Guarded,
  { body }: HashedBody,
  shown: PrepareRequest['replaced'],
): Promise<Replaced> {
  const { live } = guarded;
  if (live && constantTimeEqual(live.body.g, body.previous)) return { before: live.body.number, live };
  const bound = binding(guarded);
  const line = bound?.body.line;
  const attempts = await vault.register.read(body.rid);
  if (!attempts) {
    if (bound) throw forgotten(bound);
    return { before: 0n, live: undefined };
  }
  if (!constantTimeEqual(attempts.g, body.previous)) throw conflict();
  if (attempts.state === RecordState.ERASED) {
    if (bound) throw forgotten(bound);
    return { before: attempts.number, live: undefined };
  }
  const committed = shown && parseShown(shown);
  if (!committed || !constantTimeEqual(committed.bodyHash, attempts.bodyHash))
    throw new VaultError(
      'NOT_ENOUGH_REPLICAS',
      'This replica missed what is to be replaced, and nobody showed it; send the same bytes again later.',
    );
  if (!preparedByEnough(vault, committed, committed.prepared)) throw conflict();
  if (line && !constantTimeEqual(line, committed.body.line)) throw conflict();
  return { before: committed.body.number, live: committed };
}

/** RFC 8410: an Ed25519 SubjectPublicKeyInfo is this prefix and the 32 bytes. */
const ED25519_SPKI = Buffer.from('302a300506032b6570032100', 'hex');

const ed25519 = (publicKey: Uint8Array): KeyObject =>
  createPublicKey({ key: Buffer.concat([ED25519_SPKI, publicKey]), format: 'der', type: 'spki' });

const conflict = () =>
  new VaultError('GENERATION_CONFLICT', 'The body does not replace the generation that is stored; describe the record and start again.');

/** etcd forgot what the guard knows, or says that it is over, and nothing shows that. */
const forgotten = ({ body }: HashedBody) =>
  new VaultError(
    'GENERATION_CONFLICT',
    `This replica goes by generation ${toHex(body.g)}, of which etcd says no more. Describe the record; if it is not there, and etcd was not restored wrongly, have the frontend erase that generation, then start again.`,
  );
