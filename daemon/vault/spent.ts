import { create } from '@bufbuild/protobuf';
import type { Millis } from '../../primitives/brand.ts';
import { constantTimeEqual, exactly } from '../../primitives/bytes.ts';
import { type SpentRequest, type SpentResponse, SpentResponseSchema } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import { G_LENGTH, HASH_LENGTH } from '../../protocol/body.ts';
import { spentTranscript } from '../../protocol/transcripts.ts';
import type { Guarded } from '../ledger/guarded.ts';
import type { Vault } from './vault.ts';

/** Says, signed, that a generation's attempts are all counted here, and that the grace is over since this replica counted the last one. */
export async function spent(vault: Vault, request: SpentRequest): Promise<SpentResponse> {
  const rid = exactly(HASH_LENGTH, request.rid, 'rid');
  const g = exactly(G_LENGTH, request.g, 'g');
  const { statement, self, token } = vault;
  if (!(await wouldSaySpent(vault, rid, g))) return create(SpentResponseSchema);
  const { fleet, epoch } = statement;
  const { index } = self;
  const signature = await token.sign(spentTranscript({ fleet, epoch, index, rid, g }).digest);
  return create(SpentResponseSchema, { spent: { index, signature } });
}

/** Whether this replica would say so of what it serves. */
export async function wouldSaySpent({ guard, clock, eraseGrace }: Vault, rid: Uint8Array, g: Uint8Array): Promise<boolean> {
  return isSpent(await guard.read(rid), g, clock.now() - eraseGrace);
}

/** By what this guard durably counted, and when: no other one's clock, and no time in etcd. */
function isSpent({ live, counted }: Guarded, g: Uint8Array, before: Millis): boolean {
  if (!live || !constantTimeEqual(live.body.g, g) || counted.size < live.body.policy.limit) return false;
  return [...counted.values()].every(({ atMs }) => atMs <= before);
}
