import { create } from '@bufbuild/protobuf';
import { constantTimeEqual, exactly } from '../../primitives/bytes.ts';
import { RecordState } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { type PromoteRequest, type PromoteResponse, PromoteResponseSchema } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import { G_LENGTH } from '../../protocol/body.ts';
import { enrolledTranscript, preparedTranscript } from '../../protocol/transcripts.ts';
import type { Generation } from '../ledger/guarded.ts';
import { holds } from '../ledger/register.ts';
import { parseAccount } from './account.ts';
import { isSignedByEnough } from './evidence.ts';
import type { Vault } from './vault.ts';

/** Promotes a generation that etcd committed, and signs that this replica serves it now, and none before it. */
export async function promote(vault: Vault, request: PromoteRequest): Promise<PromoteResponse> {
  const { rid } = parseAccount(vault, request.account);
  const g = exactly(G_LENGTH, request.g, 'g');
  const { bodyHash } = await promoteCommitted(vault, rid, g);
  const { statement, self, token } = vault;
  const name = { fleet: statement.fleet, epoch: statement.epoch, index: self.index, rid, g };
  const signature = await token.sign(enrolledTranscript(name, bodyHash).digest);
  return create(PromoteResponseSchema, { enrolled: { index: self.index, signature } });
}

/** The live generation g, promoted first if need be. Throws GENERATION_UNKNOWN. */
export function promoteCommitted(vault: Vault, rid: Uint8Array, g: Uint8Array): Promise<Generation> {
  return vault.guard.promote(rid, g, (generation) => committedAs(vault, generation));
}

/**
 * The number under which etcd committed the generation. etcd orders enrolments, and nothing else: that t replicas prepared this one, so that
 * what it replaces may go, is shown by their signatures.
 */
async function committedAs(vault: Vault, { body, bodyHash, subRecord }: Generation): Promise<bigint | undefined> {
  const { fleet } = vault.statement;
  const { rid, g, epoch, previous } = body;
  const { attempts, record } = await vault.register.read(rid);
  if (!attempts || attempts.state !== RecordState.LIVE) return undefined;
  if (!constantTimeEqual(attempts.g, body.g) || !constantTimeEqual(attempts.bodyHash, bodyHash)) return undefined;
  if (!record || !holds(record, subRecord)) return undefined;
  const prepared = (index: number) => preparedTranscript({ fleet, epoch, index, rid, g }, previous, bodyHash);
  return isSignedByEnough(vault, record.subRecords, prepared, body) ? attempts.number : undefined;
}
