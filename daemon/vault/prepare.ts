import { create } from '@bufbuild/protobuf';
import { type Bytes, constantTimeEqual, exactly } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import { type PrepareRequest, type PrepareResponse, PrepareResponseSchema } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import { HASH_LENGTH, type HashedBody, parseBody, shareOf } from '../../protocol/body.ts';
import { offerFields, parseTicket, type Ticket } from '../../protocol/offer.ts';
import type { CompressedPoint } from '../../protocol/point.ts';
import { SIGNATURE_LENGTH } from '../../protocol/signature.ts';
import type { SubRecord } from '../../protocol/sub-record.ts';
import { finishTranscript } from '../../protocol/transcripts.ts';
import { type Generation, type Guarded, heldBy, isOver } from '../ledger/guarded.ts';
import { parseAccount } from './account.ts';
import { forgetErased } from './forget.ts';
import { expectMayReplace } from './ownership.ts';
import { isSigned, parseCurvePoint, publicKey } from './p256.ts';
import type { Vault } from './vault.ts';

/** What the client made, of the right form and with a share for this replica. */
interface Handover extends HashedBody {
  readonly point: CompressedPoint;
  /** A */
  readonly proofKey: CompressedPoint;
  /** By A. */
  readonly signature: Bytes;
  /** Of all tickets, in the order of the body's shares. */
  readonly tags: readonly Uint8Array[];
}

/**
 * Checks a new generation, makes its seed again, and keeps both as prepared, durably. The same bytes again get the same answer, whatever
 * has become of their ticket; another body for the same g is refused.
 */
export async function prepare(vault: Vault, request: PrepareRequest): Promise<PrepareResponse> {
  const account = parseAccount(vault, request.account);
  const handover = parseHandover(vault, request);
  const { body, bodyHash } = handover;
  if (!constantTimeEqual(body.rid, account.rid)) throw policy('body.rid is not that of the account');
  expectFleetPolicy(vault, handover);
  const { fleet } = vault.statement;
  await vault.grants.verify(request.grant, { ...account, fleet, operation: 'finish-enrolment', g: body.g, authorises: bodyHash });

  // Nobody signs for a record that was erased: if this replica missed the erasure, it makes up for it here.
  if (request.ownerSignature.length === 0 && body.previous.length > 0) await forgetErased(vault, body.rid);

  let subRecord: SubRecord | undefined;
  const make = async (guarded: Guarded): Promise<Generation | undefined> => {
    subRecord = findSame(guarded, handover);
    if (subRecord) return undefined;
    await expectMayReplace(vault, guarded, handover, request);
    expectWhoBegan(vault, handover);
    const ticket = parseTicket(request.ticket);
    expectFinished(vault, handover, ticket);
    expectInTime(vault, ticket);
    await expectUnchanged(vault, guarded, handover, ticket);
    const stored = await store(vault, handover, ticket);
    subRecord = stored.subRecord;
    return { body, bodyHash, ...stored, prepared: [] };
  };
  await vault.guard.prepare(body.rid, make, async () => (await vault.register.read(body.rid))?.g);
  const { index, signature } = subRecord as SubRecord;
  return create(PrepareResponseSchema, { prepared: { index, signature } });
}

/** Throws MALFORMED. */
function parseHandover({ self }: Vault, { body, point, signature, tags }: PrepareRequest): Handover {
  const hashed = parseBody(body);
  const { shares, proofKey, releaseBase } = hashed.body;
  if (!shareOf(hashed.body, self.index)) throw new VaultError('MALFORMED', `The body has no share for replica ${self.index}.`);
  if (tags.length !== shares.length) throw new VaultError('MALFORMED', `There must be ${shares.length} tags, one for each share.`);
  for (const tag of tags) exactly(HASH_LENGTH, tag, 'tags');
  parseCurvePoint(releaseBase, 'body.release_base');
  return {
    ...hashed,
    point: parseCurvePoint(point, 'point'),
    proofKey: parseCurvePoint(proofKey, 'body.proof_key'),
    signature: exactly(SIGNATURE_LENGTH, signature, 'signature'),
    tags,
  };
}

function expectFleetPolicy({ statement, bounds }: Vault, { body }: HashedBody): void {
  if (body.fleet !== statement.fleet || body.epoch > BigInt(statement.epoch)) throw policy('the body is for another fleet or epoch');
  if (body.epoch < BigInt(statement.epoch))
    throw new VaultError(
      'GENERATION_CONFLICT',
      'The body is for an earlier fleet statement. It may have been committed under that one: describe the record, then start again.',
    );
  if (body.threshold !== statement.threshold) throw policy(`the threshold must be the fleet’s, ${statement.threshold}`);
  if (body.shares.some(({ index }) => !statement.replicas.some((replica) => replica.index === index)))
    throw policy('a share is for a replica that the fleet does not have');
  if (body.policy.limit > bounds.limitMost) throw policy(`the limit must be at most ${bounds.limitMost}`);
  if (body.policy.coolDownMs < BigInt(bounds.coolDownLeast)) throw policy(`the cool-down must be at least ${bounds.coolDownLeast} ms`);
}

/** The sub-record of this same generation, if it is here already. Throws GENERATION_CONFLICT for another body under the same g. */
function findSame(guarded: Guarded, { body, bodyHash }: HashedBody): SubRecord | undefined {
  if (isOver(guarded, body))
    throw new VaultError('GENERATION_CONFLICT', 'This was erased, or what it replaces; start again with a fresh g.');
  const same = heldBy(guarded).find((generation) => constantTimeEqual(generation.body.g, body.g));
  if (!same) return undefined;
  if (constantTimeEqual(same.bodyHash, bodyHash)) return same.subRecord;
  throw new VaultError('GENERATION_CONFLICT', 'This g came before with another body; start again with a fresh g.');
}

/**
 * Whoever relays an enrolment could keep it back, finish its tickets with a body of his own, and guess by that. Only who began it has the
 * private key of A. Throws FINISH_REFUSED.
 */
function expectWhoBegan({ statement }: Vault, { body, bodyHash, proofKey, tags, signature }: Handover): void {
  const { fleet, epoch } = statement;
  if (isSigned(finishTranscript({ fleet, epoch, rid: body.rid, g: body.g }, bodyHash, tags), signature, publicKey(proofKey))) return;
  throw new VaultError(
    'FINISH_REFUSED',
    'The enrolment is not signed by who began it, or not for these bytes; send what the client made, unchanged.',
  );
}

/** Throws TICKET_REFUSED for a ticket that the client's signature does not cover as this replica's. */
function expectFinished({ self }: Vault, { body, tags }: Handover, { index, tag }: Ticket): void {
  const signed = tags[body.shares.findIndex((share) => share.index === self.index)];
  if (index !== self.index || !signed || !constantTimeEqual(signed, tag))
    throw refused('The ticket is not the one that the client finished with; send what the client made, unchanged.');
}

/** Throws TICKET_EXPIRED. */
function expectInTime({ clock }: Vault, { expiresAtMs }: Ticket): void {
  if (Number(expiresAtMs) <= clock.now())
    throw new VaultError('TICKET_EXPIRED', 'The ticket has expired; begin the enrolment again with a fresh g.');
}

/**
 * Whoever relayed an enrolment must not be able to send it again after its generation ended, and have its attempts back, if etcd
 * lies or another generation of the same name is there (docs/adr/0011). Throws TICKET_REFUSED.
 */
async function expectUnchanged({ guard }: Vault, { live }: Guarded, { body }: Handover, ticket: Ticket): Promise<void> {
  const changes = await guard.changes(body.rid);
  if (ticket.changes === changes) return;
  // One change alone, and it made live what the body replaces: this replica promoted late, and the body was never live.
  if (ticket.changes + 1n === changes && live && constantTimeEqual(live.body.g, body.previous)) return;
  throw refused('The record changed since BeginEnrollment; begin the enrolment again with a fresh g.');
}

/** Has the token compute what was offered once more: what it would not find again is not stored. Throws TICKET_REFUSED, TOKEN_FAULT. */
async function store(
  vault: Vault,
  { body, bodyHash, point, proofKey }: Handover,
  ticket: Ticket,
): Promise<Pick<Generation, 'subRecord' | 'madeWith'>> {
  const { statement, self, token, tickets, clock } = vault;
  const { rid, g } = body;
  const asked = { fleet: statement.fleet, epoch: statement.epoch, index: self.index, rid, g, point, proofKey };
  const { seed: secret, madeWith } = tickets.seedOf(offerFields(asked, ticket), ticket.tag);
  try {
    const seed = secret.expose();
    const enrolledAtMs = BigInt(Math.floor(clock.now()));
    const { evaluated, releaseElement } = ticket;
    const { previous } = body;
    const made = await token.prepare({ rid, g, previous, bodyHash, seed, enrolledAtMs, point, evaluated, releaseElement });
    return { subRecord: { index: self.index, seed: seed.slice(), enrolledAtMs, ...made }, madeWith };
  } finally {
    secret.wipe();
  }
}

const refused = (why: string) => new VaultError('TICKET_REFUSED', why);
const policy = (why: string) => new VaultError('POLICY_REFUSED', `The enrolment is refused: ${why}.`);
