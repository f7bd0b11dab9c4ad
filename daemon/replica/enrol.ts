import { create } from '@bufbuild/protobuf';
import type { Millis } from '../../primitives/brand.ts';
import { constantTimeEqual } from '../../primitives/bytes.ts';
import { isVaultError, VaultError } from '../../primitives/errors.ts';
import { RecordState, type Signed } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { OfferRequestSchema, PrepareRequestSchema, PromoteRequestSchema } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import {
  type BeginEnrollmentRequest,
  type Enrolled,
  type FinishEnrollmentRequest,
  type Offer,
  OfferSchema,
} from '../../proto/gen/backupvault/v1/vault_pb.ts';
import { type Body, type HashedBody, parseBody } from '../../protocol/body.ts';
import { offerFields, parseTicket } from '../../protocol/offer.ts';
import { enrolledTranscript, offerTranscript, preparedTranscript } from '../../protocol/transcripts.ts';
import { renderShown, type Shown } from '../ledger/guarded.ts';
import type { Account } from '../vault/account.ts';
import { expectOwn, expectSigned, expectWellFormed, generationWithHash } from './believed.ts';
import { askAll, askEnough } from './fan-out.ts';
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
  const { fleet: name, epoch, threshold } = vault.statement;
  const asked = { fleet: name, epoch, rid: account.rid, g, point, proofKey };
  const askForOffer = async ({ index, calls }: Participant) => {
    const { offer } = await calls.offer(message);
    const ticket = expectOwn(
      fleet,
      expectWellFormed(fleet, index, () => parseTicket(offer?.ticket)),
      index,
    );
    const signature = offer?.signature ?? new Uint8Array(0);
    expectSigned(fleet, index, offerTranscript(offerFields(asked, ticket), ticket.tag), signature, 'its offer');
    return create(OfferSchema, { ticket, signature });
  };
  return askEnough(participants, askForOffer, { enough: threshold, grace: OFFER_GRACE, clock: vault.clock });
}

/** Prepared by t or more, then committed in etcd, then promoted: each step can be made again without harm. */
export async function finishEnrollment(fleet: Fleet, account: Account, request: FinishEnrollmentRequest): Promise<Enrolled[]> {
  const { vault, events } = fleet;
  const hashed = parseBody(request.body);
  const { body } = hashed;
  if (!constantTimeEqual(body.rid, account.rid)) throw new VaultError('POLICY_REFUSED', 'body.rid is not that of the account.');

  const prepared = await prepareAll(fleet, account, request, hashed);
  await vault.register.enrol(
    hashed,
    prepared.map(({ index }) => index),
  );
  const holders = fleet.participants.filter(({ index }) => prepared.some((each) => each.index === index));
  const promote = create(PromoteRequestSchema, { account, g: body.g, prepared });
  const { fleet: name, epoch, threshold } = vault.statement;
  const askToPromote = async ({ index, calls }: Participant) => {
    const enrolled = expectOwn(fleet, (await calls.promote(promote)).enrolled, index);
    const transcript = enrolledTranscript({ fleet: name, epoch, index, rid: body.rid, g: body.g }, hashed.bodyHash);
    expectSigned(fleet, index, transcript, enrolled.signature, 'that it enrolled');
    return enrolled;
  };
  const { answers } = await askAll(holders, askToPromote, { enough: threshold, grace: PROMOTE_GRACE, clock: vault.clock });
  const enrolled = [...answers.values()];
  if (enrolled.length < threshold)
    throw new VaultError('OUTCOME_UNKNOWN', `${enrolled.length} replicas confirmed the enrolment; send exactly the same bytes again.`);
  events.enrolled(account.rid, enrolled.length, body.shares.length);
  return enrolled;
}

async function prepareAll(
  fleet: Fleet,
  account: Account,
  request: FinishEnrollmentRequest,
  { body, bodyHash }: HashedBody,
): Promise<Signed[]> {
  const { vault, participants } = fleet;
  const { point, tickets, signature, grant, ownerSignature } = request;
  const { fleet: of, epoch, threshold } = vault.statement;
  const name = { fleet: of, epoch, rid: body.rid, g: body.g };
  if (tickets.length !== body.shares.length || tickets.some(({ index }, i) => index !== body.shares[i]?.index))
    throw new VaultError('MALFORMED', 'There must be one ticket for each share of the body, in the same order.');
  const tags = tickets.map(({ tag }) => tag);
  const replaced = await replacedBy(fleet, body);
  const common = { account, point, body, tags, signature, grant, ownerSignature, ...(replaced ? { replaced: renderShown(replaced) } : {}) };
  const asked = participants.filter(({ index }) => tickets.some((ticket) => ticket.index === index));
  const ask = async ({ index, calls }: Participant) => {
    const ticket = tickets.find((each) => each.index === index);
    const own = expectOwn(
      fleet,
      (await calls.prepare(create(PrepareRequestSchema, ticket ? { ...common, ticket } : common))).prepared,
      index,
    );
    expectSigned(fleet, index, preparedTranscript({ ...name, index }, body.previous, bodyHash), own.signature, 'that it prepared');
    return own;
  };
  return askEnough(asked, ask, { enough: threshold, grace: PREPARE_GRACE, clock: vault.clock });
}

/**
 * What replicas are shown of it that missed it. Undefined where nothing live is replaced, and where nobody has it: those who serve it need it not, and
 * each says for itself what is wrong.
 */
async function replacedBy(fleet: Fleet, { rid, previous }: Body): Promise<Shown | undefined> {
  if (previous.length === 0) return undefined;
  const attempts = await fleet.vault.register.read(rid);
  if (attempts?.state !== RecordState.LIVE || !constantTimeEqual(attempts.g, previous)) return undefined;
  return generationWithHash(fleet, rid, attempts.bodyHash).catch((error: unknown) => {
    if (isVaultError(error, 'NOT_ENOUGH_REPLICAS') || isVaultError(error, 'GENERATION_UNKNOWN')) return undefined;
    throw error;
  });
}
