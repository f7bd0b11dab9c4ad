import { create } from '@bufbuild/protobuf';
import { type EvaluateRequest, type EvaluateResponse, EvaluateResponseSchema } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import type { Evaluation } from '../../proto/gen/backupvault/v1/vault_pb.ts';
import type { CompressedPoint } from '../../protocol/point.ts';
import { faultPoint } from '../fault-point.ts';
import { expectLive } from '../ledger/counting.ts';
import type { Counting } from '../ledger/guard.ts';
import { storedGeneration } from './stored-generation.ts';
import type { Vault } from './vault.ts';
import { paidBy, parseAttempt } from './vote.ts';
import { type VotedAttempt, verifyVotes } from './votes.ts';

/** EVALUATE: shows the client what this replica's key makes of its point, once t replicas have counted the attempt. Reads no etcd. */
export async function evaluate(vault: Vault, request: EvaluateRequest): Promise<EvaluateResponse> {
  const { name, point } = await parseAttempt(vault, request);
  const { body } = expectLive(await vault.guard.read(name.rid), name);
  const voted = verifyVotes(vault, name, request.votes, body);
  const counting = await vault.guard.adopt(voted, await paidBy(vault, voted, request), vault.clock.now());
  faultPoint('before-evaluate');
  const evaluation = await evaluateVoted(vault, voted, point, counting);
  return create(EvaluateResponseSchema, { evaluation });
}

async function evaluateVoted(
  { self, token }: Vault,
  { attempt }: VotedAttempt,
  point: CompressedPoint,
  { generation, used }: Counting,
): Promise<Evaluation> {
  const { limit } = generation.body.policy;
  const answer = await token.evaluate({ generation: storedGeneration(generation), point, attempt, limit, used });
  const { enrolledAtMs } = generation.subRecord;
  return { $typeName: 'backupvault.v1.Evaluation', index: self.index, enrolledAtMs, used, ...answer };
}
