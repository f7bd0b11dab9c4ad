import { create } from '@bufbuild/protobuf';
import { randomBytes } from '@noble/hashes/utils.js';
import { codeInput, ownerKey, proofKey, signWithProofKey } from '../../../client/derive.ts';
import { makeGeneration } from '../../../client/generation.ts';
import { type VerifiedOffer, verifyOffer } from '../../../client/offers.ts';
import { type Blinded, blind } from '../../../client/oprf.ts';
import type { ClientFile } from '../../../fleet/client-file.ts';
import type { Bytes } from '../../../primitives/bytes.ts';
import { SecretBytes } from '../../../primitives/secret-bytes.ts';
import { type Body, type Erasure, ErasureSchema } from '../../../proto/gen/backupvault/v1/record_pb.ts';
import { type PrepareRequest, PrepareRequestSchema } from '../../../proto/gen/backupvault/v1/replica_pb.ts';
import { type FinishEnrollmentRequest, FinishEnrollmentRequestSchema, type Offer } from '../../../proto/gen/backupvault/v1/vault_pb.ts';
import type { HashedBody } from '../../../protocol/body.ts';
import type { Ticket } from '../../../protocol/offer.ts';
import {
  beginEnrolmentTranscript,
  bodyTranscript,
  eraseTranscript,
  finishTranscript,
  replaceTranscript,
} from '../../../protocol/transcripts.ts';
import { quickHash } from '../../harness/soft-client.ts';
import type { World } from './world.ts';

export const CODE = 'correct horse';

/** What the OPRF takes of a code. */
export const input = ({ client: { fleet } }: World, rid: Uint8Array, code: string): SecretBytes => codeInput(code, fleet, rid);

/** An enrolment made by hand, honestly, with everything that only its device would know. */
export interface Draft extends HashedBody {
  readonly file: ClientFile;
  readonly recordId: string;
  readonly rid: Bytes;
  readonly g: Uint8Array;
  /** 32 bytes, of which the private key of A is made. */
  readonly s: SecretBytes;
  readonly blinded: Blinded;
  readonly backupKey: SecretBytes;
  readonly offers: readonly VerifiedOffer[];
  readonly tickets: readonly Ticket[];
  readonly ownerSignature: Uint8Array;
}

export interface DraftOptions {
  readonly limit?: number;
  /** None unless told. */
  readonly holdMs?: number;
  /** The generation that this one replaces. */
  readonly replaces?: Draft;
  /** For one who names a generation as he likes. */
  readonly g?: Uint8Array;
  /** For one who replaces what is not his: a generation by its name alone, without a signature. */
  readonly previous?: Uint8Array;
  /** Whose account it is. */
  readonly file?: ClientFile;
  /** Replicas whose offers are taken; all unless told. */
  readonly among?: readonly number[];
}

/** Begins an enrolment at the fleet and makes everything that finishing it takes. */
export async function draftEnrolment(world: World, recordId: string, options: DraftOptions = {}): Promise<Draft> {
  const { limit = 3, holdMs = 0, replaces, file = world.client, among = [1, 2, 3], g = randomBytes(16) } = options;
  const rid = world.rid(recordId, file);
  const s = new SecretBytes(randomBytes(32));
  const blinded = blind(input(world, rid, CODE));
  const asked = { g, point: blinded.point, proofKey: proofKey(s.expose(), rid, g) };
  const { statement } = world;
  const offered = (await begin(world, { file, recordId, ...asked })).filter(({ ticket }) => among.includes(ticket?.index ?? 0));
  const offers = offered.map((offer) => verifyOffer(offer, { statement, rid, ...asked })).sort((a, b) => a.index - b.index);
  const backupKey = replaces?.backupKey ?? new SecretBytes(randomBytes(32));
  const previous = options.previous ?? replaces?.g ?? new Uint8Array(0);
  const before = replaces?.body.number ?? (await world.store.attempts(rid))?.number ?? 0n;
  const hashed = await makeGeneration({
    statement,
    rid,
    g,
    s,
    blinded,
    argon2id: quickHash,
    offers,
    backupKey,
    previous,
    number: before + 1n,
    line: replaces?.body.line ?? g,
    policy: { limit, coolDownMs: 0, holdMs },
  });
  const tickets = offers.map(({ ticket }) => ticket);
  const drawn = { file, recordId, rid, g, s, blinded, backupKey, offers, tickets, ...hashed };
  return { ...drawn, ownerSignature: replaces ? signReplacement(world, drawn, replaces.g) : new Uint8Array(0) };
}

interface Beginning {
  readonly file?: ClientFile;
  readonly recordId: string;
  readonly g: Uint8Array;
  readonly point: Uint8Array;
  readonly proofKey: Uint8Array;
}

/** What the fleet offers to a frontend that grants itself what it asks for. */
export async function begin(world: World, { file = world.client, recordId, g, point, proofKey }: Beginning): Promise<Offer[]> {
  const authorises = beginEnrolmentTranscript(point, proofKey).digest;
  const grant = await world.grant({ operation: 'begin-enrolment', recordId, g, authorises }, file);
  return (await world.frontend(file.tls).beginEnrollment({ recordId, g, point, proofKey, grant })).offers;
}

function signReplacement(
  { statement: { fleet, epoch } }: World,
  { backupKey, rid, g, bodyHash }: Omit<Draft, 'ownerSignature'>,
  previous: Uint8Array,
) {
  return ownerKey(backupKey, rid).sign(replaceTranscript({ fleet, epoch, rid, g }, previous, bodyHash));
}

/** By the private key of A, over whatever body and tickets: its device alone can make it. */
export function finishSignature(
  { statement: { fleet, epoch } }: World,
  { s, rid, g }: Pick<Draft, 's' | 'rid' | 'g'>,
  bodyHash: Uint8Array,
  tickets: readonly Pick<Ticket, 'tag'>[],
): Bytes {
  const tags = tickets.map(({ tag }) => tag);
  return signWithProofKey(s.expose(), rid, g, finishTranscript({ fleet, epoch, rid, g }, bodyHash, tags));
}

/** A hostile frontend's grant for whatever body it likes. */
export function grantFor(world: World, { file, recordId }: Pick<Draft, 'file' | 'recordId'>, body: Body): Promise<string> {
  const authorises = bodyTranscript(body).digest;
  return world.grant({ operation: 'finish-enrolment', recordId, g: body.g, authorises }, file);
}

/** What the coordinator sends to one replica. */
export async function prepareRequest(world: World, draft: Draft, index: number): Promise<PrepareRequest> {
  const { file, recordId, tickets } = draft;
  const ticket = tickets.find((each) => each.index === index);
  if (!ticket) throw new RangeError(`replica ${index} offered nothing`);
  const account = { tenant: file.tenant, recordId };
  return create(PrepareRequestSchema, { account, ticket, tags: tickets.map(({ tag }) => tag), ...(await handover(world, draft)) });
}

/** What the frontend sends. */
export const finishRequest = async (world: World, draft: Draft): Promise<FinishEnrollmentRequest> =>
  create(FinishEnrollmentRequestSchema, { recordId: draft.recordId, tickets: [...draft.tickets], ...(await handover(world, draft)) });

async function handover(world: World, draft: Draft) {
  const { blinded, body, bodyHash, tickets, ownerSignature } = draft;
  const signature = finishSignature(world, draft, bodyHash, tickets);
  return { point: blinded.point, body, signature, grant: await grantFor(world, draft, body), ownerSignature };
}

/** What shows that its tenant wants it erased. */
export async function erasure(world: World, { file, recordId, rid, g }: Draft): Promise<Erasure> {
  const grant = await world.grant({ operation: 'erase', recordId, g, authorises: eraseTranscript(rid, g).digest }, file);
  return create(ErasureSchema, { grant });
}

/** A record that is live on every replica. */
export async function enrolled(world: World, recordId: string, options: DraftOptions = {}): Promise<Draft> {
  const draft = await draftEnrolment(world, recordId, options);
  await world.frontend(draft.file.tls).finishEnrollment(await finishRequest(world, draft));
  return draft;
}
