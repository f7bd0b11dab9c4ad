import { create } from '@bufbuild/protobuf';
import type { Millis } from '../../primitives/brand.ts';
import { constantTimeEqual } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import { OfferRequestSchema, PrepareRequestSchema, PromoteRequestSchema } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import type { BeginEnrollmentRequest, Enrolled, FinishEnrollmentRequest, Offer } from '../../proto/gen/backupvault/v1/vault_pb.ts';
import { type Body, parseBody } from '../../protocol/body.ts';
import { parseSubRecord, type SubRecord } from '../../protocol/sub-record.ts';
import type { Account } from '../vault/account.ts';
import { askAll, askEnough, expectOwn } from './fan-out.ts';
import type { Fleet } from './fleet.ts';
import type { Participant } from './participant.ts';

const OFFER_GRACE: Millis = 500; // every replica that offers becomes a holder: worth a moment
const PREPARE_GRACE: Millis = 1000;
const PROMOTE_GRACE: Millis = 500;

export async function beginEnrollment(fleet: Fleet, account: Account, request: BeginEnrollmentRequest): Promise<Offer[]> {
  const { vault, participants } = fleet;
  if (!fleet.hasRoom())
    throw new VaultError('STORE_UNAVAILABLE', 'etcd is nearly full and takes no new records; an operator must compact and defragment it.');
  const { g, point, proofKey, grant } = request;
  const message = create(OfferRequestSchema, { account, g, point, proofKey, grant });
  const offers = await askEnough(participants, async ({ calls }) => (await calls.offer(message)).offer, {
    enough: vault.statement.threshold,
    grace: OFFER_GRACE,
    clock: vault.clock,
  });
  return offers.filter((offer) => offer !== undefined);
}

/** Prepared by t or more, then committed in etcd, then promoted: each step can be made again without harm. */
export async function finishEnrollment(fleet: Fleet, account: Account, request: FinishEnrollmentRequest): Promise<Enrolled[]> {
  const { vault, events } = fleet;
  const hashed = parseBody(request.body);
  const { body } = hashed;
  if (!constantTimeEqual(body.rid, account.rid)) throw new VaultError('POLICY_REFUSED', 'body.rid is not that of the account.');

  const subRecords = await prepareAll(fleet, account, request, body);
  await vault.register.enrol(hashed, subRecords);
  const holders = fleet.participants.filter(({ index }) => subRecords.some((s) => s.index === index));
  const promote = create(PromoteRequestSchema, { account, g: body.g });
  const { answers } = await askAll(holders, async ({ calls }) => (await calls.promote(promote)).enrolled, {
    enough: vault.statement.threshold,
    grace: PROMOTE_GRACE,
    clock: vault.clock,
  });
  const enrolled = [...answers.values()].filter((e) => e !== undefined);
  if (enrolled.length < vault.statement.threshold)
    throw new VaultError('OUTCOME_UNKNOWN', `${enrolled.length} replicas confirmed the enrolment; send exactly the same bytes again.`);
  events.enrolled(account.rid, enrolled.length, body.shares.length);
  return enrolled;
}

async function prepareAll(
  { vault, participants }: Fleet,
  account: Account,
  request: FinishEnrollmentRequest,
  body: Body,
): Promise<SubRecord[]> {
  const { point, tickets, signature, grant, ownerSignature } = request;
  const { threshold } = vault.statement;
  if (tickets.length !== body.shares.length || tickets.some(({ index }, i) => index !== body.shares[i]?.index))
    throw new VaultError('MALFORMED', 'There must be one ticket for each share of the body, in the same order.');
  const tags = tickets.map(({ tag }) => tag);
  const common = { account, point, body, tags, signature, grant, ownerSignature };
  const asked = participants.filter(({ index }) => tickets.some((ticket) => ticket.index === index));
  const ask = async ({ index, calls }: Participant) => {
    const ticket = tickets.find((each) => each.index === index);
    const { subRecord } = await calls.prepare(create(PrepareRequestSchema, ticket ? { ...common, ticket } : common));
    return parseSubRecord(expectOwn(subRecord, index));
  };
  return askEnough(asked, ask, { enough: threshold, grace: PREPARE_GRACE, clock: vault.clock });
}
