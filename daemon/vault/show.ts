import { create } from '@bufbuild/protobuf';
import { constantTimeEqual, exactly } from '../../primitives/bytes.ts';
import { type ShowRequest, type ShowResponse, ShowResponseSchema } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import { HASH_LENGTH } from '../../protocol/body.ts';
import { heldBy, renderShown, showing } from '../ledger/guarded.ts';
import type { Vault } from './vault.ts';

/** A generation that this guard holds, served or prepared, by the hash of its body. Reads only. Throws MALFORMED. */
export async function show({ guard }: Vault, request: ShowRequest): Promise<ShowResponse> {
  const bodyHash = exactly(HASH_LENGTH, request.bodyHash, 'body_hash');
  const held = heldBy(await guard.read(exactly(HASH_LENGTH, request.rid, 'rid'))).find((each) =>
    constantTimeEqual(each.bodyHash, bodyHash),
  );
  return create(ShowResponseSchema, held ? { shown: renderShown(showing(held)) } : {});
}
