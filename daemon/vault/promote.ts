import { create } from '@bufbuild/protobuf';
import { constantTimeEqual, exactly } from '../../primitives/bytes.ts';
import { RecordState } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { type PromoteRequest, type PromoteResponse, PromoteResponseSchema } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import { G_LENGTH, MAX_REPLICAS } from '../../protocol/body.ts';
import type { Signed } from '../../protocol/signature.ts';
import { enrolledTranscript } from '../../protocol/transcripts.ts';
import { type Generation, showing } from '../ledger/guarded.ts';
import { parseAccount } from './account.ts';
import { preparedByEnough } from './evidence.ts';
import type { Vault } from './vault.ts';

/** Promotes a generation that etcd committed, and signs that this replica serves it now, and none before it. */
export async function promote(vault: Vault, request: PromoteRequest): Promise<PromoteResponse> {
  const { rid } = parseAccount(vault, request.account);
  const g = exactly(G_LENGTH, request.g, 'g');
  const { bodyHash } = await promoteCommitted(vault, rid, g, request.prepared);
  const { statement, self, token } = vault;
  const name = { fleet: statement.fleet, epoch: statement.epoch, index: self.index, rid, g };
  const signature = await token.sign(enrolledTranscript(name, bodyHash).digest);
  return create(PromoteResponseSchema, { enrolled: { index: self.index, signature } });
}

/** The live generation g, promoted first if need be. `prepared`: what others signed. Throws GENERATION_UNKNOWN. */
export function promoteCommitted(vault: Vault, rid: Uint8Array, g: Uint8Array, prepared: readonly Signed[]): Promise<Generation> {
  return vault.guard.promote(rid, g, (generation) => committed(vault, generation, prepared));
}

/**
 * `prepared` of t holders or more, of a generation that etcd committed. etcd orders enrolments, and nothing else: that t replicas prepared this
 * one, so that what it replaces may go, is shown by their signatures.
 */
async function committed(vault: Vault, generation: Generation, signed: readonly Signed[]): Promise<readonly Signed[] | undefined> {
  const { body, bodyHash } = generation;
  const attempts = await vault.register.read(body.rid);
  if (!attempts || attempts.state !== RecordState.LIVE) return undefined;
  if (!constantTimeEqual(attempts.g, body.g) || !constantTimeEqual(attempts.bodyHash, bodyHash)) return undefined;
  return preparedByEnough(vault, generation, [...showing(generation).prepared, ...signed.slice(0, MAX_REPLICAS)]); // who has more has some twice
}
