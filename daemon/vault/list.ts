import { create } from '@bufbuild/protobuf';
import { constantTimeEqual, exactly } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import type { OwnerList as Message } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { type KeepListRequest, type KeepListResponse, KeepListResponseSchema } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import { type Body, G_LENGTH, HASH_LENGTH } from '../../protocol/body.ts';
import { listDigest, type OwnerList, parseOwnerList, renderOwnerList } from '../../protocol/owner-list.ts';
import { listedTranscript } from '../../protocol/transcripts.ts';
import { unknownGeneration } from '../ledger/counting.ts';
import { expectSameEpoch } from './account.ts';
import { isSignedByOwner } from './ownership.ts';
import type { Vault } from './vault.ts';

/**
 * Keeps what the owner signed beside the generation that is served here, where there is a list in the request; says, signed, what lies there. With the list itself where it is only
 * asked. Throws GENERATION_UNKNOWN, OWNER_REFUSED, LIST_OUTDATED, MALFORMED.
 */
export async function keepList(vault: Vault, request: KeepListRequest): Promise<KeepListResponse> {
  expectSameEpoch(vault, request.epoch);
  const { statement, self, guard, token } = vault;
  const rid = exactly(HASH_LENGTH, request.rid, 'rid');
  const g = exactly(G_LENGTH, request.g, 'g');
  const { live } = await guard.read(rid);
  if (!live || !constantTimeEqual(live.body.g, g)) throw unknownGeneration();
  const { fleet, epoch } = statement;
  const given = request.list && parseOwnersList(fleet, live.body, request.list);
  if (given) await guard.putList(rid, g, given);
  const list = given ?? (await guard.list(rid));
  const { index } = self;
  const digest = list ? listDigest(fleet, rid, list).digest : new Uint8Array(0);
  const signature = await token.sign(listedTranscript({ fleet, epoch, index, rid, g }, live.body.epoch, live.body.ownerKey, digest).digest);
  const shown = list && !given ? { list: renderOwnerList(list) } : {};
  return create(KeepListResponseSchema, { listed: { index, signature, ...shown } });
}

/** Throws MALFORMED, OWNER_REFUSED. */
function parseOwnersList(fleet: string, body: Body, message: Message): OwnerList {
  const list = parseOwnerList(message);
  if (isOwnersList(fleet, body, list)) return list;
  throw new VaultError('OWNER_REFUSED', 'The list is not signed by the owner key of the record.');
}

export const isOwnersList = (fleet: string, { rid, ownerKey }: Body, list: OwnerList): boolean =>
  isSignedByOwner(ownerKey, listDigest(fleet, rid, list), list.signature);

/**
 * What another replica that serves generation g hands over with its share: whoever has none, or an older one, keeps it. False where g is prepared here, and not live yet: it is to be
 * handed over again.
 */
export async function adoptList(
  { statement, guard }: Vault,
  rid: Uint8Array,
  g: Uint8Array,
  message: Message | undefined,
): Promise<boolean> {
  const { live, prepared } = await guard.read(rid);
  if (!message) return true;
  if (!live || !constantTimeEqual(live.body.g, g)) return !prepared.some(({ body }) => constantTimeEqual(body.g, g));
  const list = parseOwnerList(message);
  const known = await guard.list(rid);
  if ((known && known.counter >= list.counter) || !isOwnersList(statement.fleet, live.body, list)) return true;
  await guard.putList(rid, g, list);
  return true;
}
