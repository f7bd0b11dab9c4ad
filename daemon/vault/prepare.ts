import { create } from '@bufbuild/protobuf';
import { constantTimeEqual, exactly } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import { type Share, type SubRecord, SubRecordSchema, type Ticket } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { type PrepareRequest, type PrepareResponse, PrepareResponseSchema } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import type { Deposit } from '../../proto/gen/backupvault/v1/vault_pb.ts';
import { type HashedBody, parseBody, SEALED_LENGTH, shareOf } from '../../protocol/body.ts';
import { type CompressedPoint, parsePoint } from '../../protocol/point.ts';
import {
  type SessionPurpose,
  sessionTranscript,
  subRecordTranscript,
  ticketHashTranscript,
  ticketTranscript,
} from '../../protocol/transcripts.ts';
import type { Generation, Guarded } from '../ledger/guarded.ts';
import { parseAccount } from './account.ts';
import { forgetErased } from './forget.ts';
import { expectMayReplace } from './ownership.ts';
import type { Vault } from './vault.ts';

/** What the client handed over, of the right form and for this replica. */
interface Handover extends HashedBody {
  readonly share: Share;
  readonly ticket: Ticket;
  readonly deposit: Deposit;
  readonly point: CompressedPoint;
  readonly clientKey: CompressedPoint;
}

/**
 * Checks a new generation, takes its secrets over into the token's wrapping, and keeps it as prepared, durably. The same bytes
 * again get the same answer; another body for the same g is refused.
 */
export async function prepare(vault: Vault, request: PrepareRequest): Promise<PrepareResponse> {
  const account = parseAccount(vault, request.account);
  const handover = parseHandover(vault, request);
  const { body, bodyHash } = handover;
  if (!constantTimeEqual(body.rid, account.rid)) throw policy('body.rid is not that of the account');
  expectFleetPolicy(vault, handover);
  await vault.grants.verify(request.grant, {
    fleet: vault.statement.fleet,
    tenant: account.tenant,
    operation: 'finish-enrolment',
    recordId: account.recordId,
    g: body.g,
    authorises: bodyHash,
  });

  // Nobody signs for a record that was erased: if this replica missed the erasure, it makes up for it here.
  if (request.ownerSignature.length === 0 && body.previous.length > 0) await forgetErased(vault, body.rid);

  let subRecord: SubRecord | undefined;
  const make = async (guarded: Guarded): Promise<Generation | undefined> => {
    subRecord = findSame(guarded, handover);
    if (subRecord) return undefined;
    await expectMayReplace(vault, guarded, handover, request.ownerSignature);
    await expectTicketHolds(vault, guarded, handover);
    subRecord = await takeOver(vault, handover);
    return { body, bodyHash, subRecord, number: 0n };
  };
  await vault.guard.prepare(body.rid, make, async () => (await vault.register.read(body.rid)).attempts?.g);
  return create(PrepareResponseSchema, { subRecord: subRecord as SubRecord });
}

function parseHandover(vault: Vault, request: PrepareRequest): Handover {
  const hashed = parseBody(request.body);
  const { deposit } = request;
  const share = shareOf(hashed.body, vault.self.index);
  if (!share || !deposit?.ticket || deposit.index !== vault.self.index)
    throw new VaultError('MALFORMED', `The share or the deposit for replica ${vault.self.index} is missing.`);
  exactly(SEALED_LENGTH, deposit.sealedAuth, 'sealed_auth');
  exactly(SEALED_LENGTH, deposit.sealedRelease, 'sealed_release');
  exactly(32, deposit.ticket.tag, 'ticket.tag');
  const point = parsePoint(request.point, 'point');
  const clientKey = parsePoint(request.clientKey, 'client_key');
  return { ...hashed, share, ticket: deposit.ticket, deposit, point, clientKey };
}

function expectFleetPolicy({ statement, bounds }: Vault, { body }: HashedBody): void {
  if (body.fleet !== statement.fleet || body.epoch > BigInt(statement.epoch)) throw policy('the body is for another fleet or epoch');
  if (body.epoch < BigInt(statement.epoch))
    throw new VaultError(
      'GENERATION_CONFLICT',
      'The body is for an earlier fleet statement. It may have been committed under that one: describe the record, then start again.',
    );
  if (body.threshold !== statement.threshold) throw policy(`the threshold must be the fleet’s, ${statement.threshold}`);
  if (body.shares.some(({ index }) => index > statement.replicas.length))
    throw policy('a share is for a replica that the fleet does not have');
  if (body.policy.limit > bounds.limitMost) throw policy(`the limit must be at most ${bounds.limitMost}`);
  if (body.policy.coolDownMs < BigInt(bounds.coolDownLeast)) throw policy(`the cool-down must be at least ${bounds.coolDownLeast} ms`);
}

/** The sub-record of this same generation, if it is here already. Throws GENERATION_CONFLICT for another body under the same g. */
function findSame({ live, prepared }: Guarded, { body, bodyHash }: HashedBody): SubRecord | undefined {
  const same = [...(live ? [live] : []), ...prepared].find((generation: Generation) => constantTimeEqual(generation.body.g, body.g));
  if (!same) return undefined;
  if (constantTimeEqual(same.bodyHash, bodyHash)) return same.subRecord;
  throw new VaultError('GENERATION_CONFLICT', 'This g came before with another body; start again with a fresh g.');
}

/**
 * Whoever relayed an enrolment must not be able to send it again after its generation ended, and have its attempts back, if etcd
 * lies or another generation of the same name is there (docs/adr/0011). Throws TICKET_REFUSED.
 */
async function expectTicketHolds({ guard }: Vault, { live }: Guarded, { body, ticket }: Handover): Promise<void> {
  const changes = await guard.changes(body.rid);
  if (ticket.changes === changes) return;
  // One change alone, and it made live what the body replaces: this replica promoted late, and the body was never live.
  if (ticket.changes + 1n === changes && live && constantTimeEqual(live.body.g, body.previous)) return;
  throw new VaultError('TICKET_REFUSED', 'The record changed since BeginEnrollment; begin the enrolment again with a fresh g.');
}

async function takeOver(vault: Vault, handover: Handover): Promise<SubRecord> {
  const { body, bodyHash, share, ticket, deposit, point, clientKey } = handover;
  const { self, statement, token } = vault;
  const { index } = self;
  if (!constantTimeEqual(share.ticketHash, ticketHashTranscript(index, ticket).digest))
    throw new VaultError('TICKET_REFUSED', 'The ticket is not the one that the body names.');
  const now = vault.clock.now();
  if (Number(ticket.expiresAtMs) <= now)
    throw new VaultError('TICKET_EXPIRED', 'The ticket has expired; begin the enrolment again with a fresh g.');

  const name = { fleet: statement.fleet, epoch: statement.epoch, index, rid: body.rid, g: body.g };
  const { publicKey, evaluated } = share as Share & { publicKey: CompressedPoint; evaluated: CompressedPoint }; // parseBody checked them
  const session = (purpose: SessionPurpose) =>
    sessionTranscript({
      ...name,
      suite: self.sessionSuite,
      purpose,
      statementHash: statement.hash,
      sessionKey: self.sessionKey,
      attempt: 0,
      point,
      clientKey,
      bodyHash,
    }).digest;
  const { wrappedAuth, wrappedRelease } = await token.adopt({
    ticket: {
      digest: ticketTranscript({ ...name, point, clientKey, publicKey, evaluated }, ticket).digest,
      tag: ticket.tag,
    },
    clientKey,
    auth: { sessionTranscript: session('enrol-auth'), sealed: deposit.sealedAuth },
    release: { sessionTranscript: session('enrol-release'), sealed: deposit.sealedRelease },
    wrappedKey: ticket.wrappedKey,
    publicKey,
    point,
    evaluated,
  });
  const fields = { wrappedKey: ticket.wrappedKey, wrappedAuth, wrappedRelease, enrolledAtMs: BigInt(Math.floor(now)) };
  const tag = await token.mac(subRecordTranscript({ ...name, bodyHash, ...fields }).digest);
  return create(SubRecordSchema, { index, ...fields, tag });
}

const policy = (why: string) => new VaultError('POLICY_REFUSED', `The enrolment is refused: ${why}.`);
