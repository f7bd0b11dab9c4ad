import { create } from '@bufbuild/protobuf';
import type { Millis } from '../../primitives/brand.ts';
import { exactly } from '../../primitives/bytes.ts';
import { KeepListRequestSchema } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import type { Listed, PutListRequest } from '../../proto/gen/backupvault/v1/vault_pb.ts';
import { type Body, G_LENGTH } from '../../protocol/body.ts';
import { listDigest, parseOwnerList } from '../../protocol/owner-list.ts';
import { termsOf } from '../../protocol/terms.ts';
import { listedTranscript } from '../../protocol/transcripts.ts';
import type { Account } from '../vault/account.ts';
import { expectOwn, expectSigned, expectWellFormed } from './believed.ts';
import { askEnough } from './fan-out.ts';
import type { Fleet } from './fleet.ts';
import { holdersAmong } from './holds.ts';
import type { Participant } from './participant.ts';
import { generationOf } from './recover.ts';

const LIST_GRACE: Millis = 150;

/** Has every holder keep what the owner signed. Throws GENERATION_UNKNOWN, OWNER_REFUSED, LIST_OUTDATED, NOT_ENOUGH_REPLICAS where fewer than t keep it. */
export async function putList(fleet: Fleet, { rid }: Account, request: PutListRequest): Promise<Listed[]> {
  const list = parseOwnerList(request.list);
  const { body } = await generationOf(fleet, rid, exactly(G_LENGTH, request.g, 'g'));
  return askHolders(fleet, body, list);
}

/** What t holders have beside the record. Throws NOT_ENOUGH_REPLICAS. */
export const listsBeside = (fleet: Fleet, body: Body): Promise<Listed[]> => askHolders(fleet, body);

function askHolders(fleet: Fleet, body: Body, given?: ReturnType<typeof parseOwnerList>): Promise<Listed[]> {
  const { statement, clock } = fleet.vault;
  const { fleet: name, epoch } = statement;
  const { rid, g, ownerKey } = body;
  const message = create(KeepListRequestSchema, { rid, g, epoch: BigInt(epoch), ...(given ? { list: given } : {}) });
  const ask = async ({ index, calls }: Participant) => {
    const listed = expectOwn(fleet, (await calls.keepList(message)).listed, index);
    const list = given ?? (listed.list && expectWellFormed(fleet, index, () => parseOwnerList(listed.list)));
    const digest = list ? listDigest(name, rid, list).digest : new Uint8Array(0);
    const transcript = listedTranscript({ fleet: name, epoch, index, rid, g }, body.epoch, ownerKey, digest);
    expectSigned(fleet, index, transcript, listed.signature, 'what lies beside the record');
    return listed;
  };
  const enough = termsOf(statement, body.epoch).threshold;
  return askEnough(holdersAmong(fleet.participants, statement, body), ask, { enough, grace: LIST_GRACE, clock });
}
