import { create } from '@bufbuild/protobuf';
import { exactly } from '../../primitives/bytes.ts';
import { type RecallRequest, type RecallResponse, RecallResponseSchema } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import { HASH_LENGTH } from '../../protocol/body.ts';
import { renderOwnerList } from '../../protocol/owner-list.ts';
import { renderPoint, renderShown, showing } from '../ledger/guarded.ts';
import { expectSameEpoch } from './account.ts';
import { decidedIn } from './decide.ts';
import type { Vault } from './vault.ts';

/** What this guard knows of a record, for a coordinator that makes good what etcd lost, and for another guard that is rebuilt. Reads only. */
export async function recall(vault: Vault, request: RecallRequest): Promise<RecallResponse> {
  expectSameEpoch(vault, request.epoch);
  const rid = exactly(HASH_LENGTH, request.rid, 'rid');
  const { live, prepared, counted } = await vault.guard.read(rid);
  const list = await vault.guard.list(rid);
  return create(RecallResponseSchema, {
    ...(live ? { live: renderShown(showing(live)) } : {}),
    prepared: prepared.map((each) => renderShown(showing(each))),
    counted: [...counted].map(([attempt, { atMs, ...point }]) => ({ attempt, point: renderPoint(point), atMs: BigInt(atMs) })),
    decided: live && live.body.policy.holdMs > 0n ? decidedIn(await vault.guard.holds(rid)) : [],
    ...(list ? { list: renderOwnerList(list) } : {}),
  });
}
