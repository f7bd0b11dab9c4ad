import { create } from '@bufbuild/protobuf';
import type { Millis } from '../../primitives/brand.ts';
import { constantTimeEqual, exactly } from '../../primitives/bytes.ts';
import { type SpentRequest, type SpentResponse, SpentResponseSchema } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import { G_LENGTH, HASH_LENGTH } from '../../protocol/body.ts';
import { spentTranscript } from '../../protocol/transcripts.ts';
import type { Guarded } from '../ledger/guarded.ts';
import { areOver } from '../ledger/hold.ts';
import type { Vault } from './vault.ts';

/**
 * Says, signed, that a generation's attempts are all counted here, and that the grace is over since this replica counted the last one, and since the
 * end of every hold. It begins no hold afterwards.
 */
export async function spent(vault: Vault, request: SpentRequest): Promise<SpentResponse> {
  const rid = exactly(HASH_LENGTH, request.rid, 'rid');
  const g = exactly(G_LENGTH, request.g, 'g');
  const { statement, self, token } = vault;
  if (!(await wouldSaySpent(vault, rid, g))) return create(SpentResponseSchema);
  if (!(await vault.guard.holdNoMore(rid, g, vault.clock.now() - vault.eraseGrace))) return create(SpentResponseSchema);
  const { fleet, epoch } = statement;
  const { index } = self;
  const signature = await token.sign(spentTranscript({ fleet, epoch, index, rid, g }).digest);
  return create(SpentResponseSchema, { spent: { index, signature } });
}

/** Whether this replica would say so of what it serves. */
export async function wouldSaySpent({ guard, clock, eraseGrace }: Vault, rid: Uint8Array, g: Uint8Array): Promise<boolean> {
  const guarded = await guard.read(rid);
  const before = clock.now() - eraseGrace;
  const length = Number(guarded.live?.body.policy.holdMs ?? 0n);
  if (!isSpent(guarded, g, before - length)) return false; // a hold may have begun as late as that, in a guard that was lost
  return length === 0 || areOver((await guard.holds(rid)).values(), length, before);
}

/** By what this guard durably counted, and when: no other one's clock, and no time in etcd. */
function isSpent({ live, counted }: Guarded, g: Uint8Array, before: Millis): boolean {
  if (!live || !constantTimeEqual(live.body.g, g) || counted.size < live.body.policy.limit) return false;
  return [...counted.values()].every(({ atMs }) => atMs <= before);
}
