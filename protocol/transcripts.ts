import type { Body, Ticket } from '../proto/gen/backupvault/v1/record_pb.ts';
import { type Field, Transcript } from './transcript.ts';

// One named function for each label, in the order in which an enrolment and a recovery meet them. The field order is the protocol:
// it is frozen by test/golden/transcripts.json.

/** Names a generation of a record on one fleet. */
export interface GenerationName {
  readonly fleet: string;
  readonly epoch: number | bigint;
  /** 32 bytes, transcript "record". */
  readonly rid: Uint8Array;
  /** 16 bytes. */
  readonly g: Uint8Array;
}

/** What one replica says about a generation. */
export interface ReplicaView extends GenerationName {
  readonly index: number;
}

const view = (v: ReplicaView): Field[] => [v.fleet, v.epoch, v.index, v.rid, v.g];

export const recordTranscript = (fleet: string, tenant: string, recordId: string) => new Transcript('record', fleet, tenant, recordId);

/** The salt of Argon2id. */
export const stretchTranscript = (fleet: string, rid: Uint8Array) => new Transcript('stretch', fleet, rid);

/** h, the name of a blinded element in counters and grants. */
export const pointTranscript = (point: Uint8Array) => new Transcript('point', point);

/** What a grant for BeginEnrollment authorises. */
export const beginEnrolmentTranscript = (point: Uint8Array, clientKey: Uint8Array) => new Transcript('begin-enrolment', point, clientKey);

export interface OfferFields extends ReplicaView {
  readonly point: Uint8Array;
  readonly clientKey: Uint8Array;
  readonly publicKey: Uint8Array;
  readonly evaluated: Uint8Array;
}

const offered = (o: OfferFields): Field[] => [...view(o), o.point, o.clientKey, o.publicKey, o.evaluated];

/**
 * MACed by replica i: its OPRF key is for this generation, point and client key only, and only as long as the record's live generation
 * does not change in its guard, but to the one that is replaced.
 */
export const ticketTranscript = (o: OfferFields, { wrappedKey, expiresAtMs, changes }: Omit<Ticket, '$typeName' | 'tag'>) =>
  new Transcript('ticket', ...offered(o), wrappedKey, expiresAtMs, changes);

export const ticketHashTranscript = (index: number, ticket: Ticket) =>
  new Transcript('ticket-hash', index, ticket.wrappedKey, ticket.expiresAtMs, ticket.changes, ticket.tag);

/** Signed by V_i. */
export const offerTranscript = (o: OfferFields, ticketHash: Uint8Array) => new Transcript('offer', ...offered(o), ticketHash);

/** Everything of a body but payload and commit. */
const bodyFields = (b: Body): Field[] => [
  b.version,
  b.fleet,
  b.epoch,
  b.rid,
  b.g,
  b.threshold,
  b.shares.length,
  ...b.shares.flatMap((s): Field[] => [s.index, s.publicKey, s.evaluated, s.ticketHash, s.x, s.mask]),
  b.policy?.limit ?? 0,
  b.policy?.coolDownMs ?? 0n,
  b.ownerKey,
  b.previous,
];

/** The associated data of the payload's AES-256-GCM. */
export const payloadDataTranscript = (body: Body) => new Transcript('payload-data', ...bodyFields(body));

/** Tells whoever has s that it is the right s, and for which body. */
export const commitTranscript = (s: Uint8Array, body: Body) => new Transcript('commit', s, ...bodyFields(body), body.payload);

/** body_hash. */
export const bodyTranscript = (body: Body) => new Transcript('body', ...bodyFields(body), body.payload, body.commit);

export type SessionPurpose = 'enrol-auth' | 'enrol-release' | 'recover-release';

/** The session key between a client's ephemeral key and a replica's session key, for one purpose. AES-KW has no associated data: the binding is here. */
export const sessionTranscript = (
  s: ReplicaView & {
    readonly suite: string;
    readonly purpose: SessionPurpose;
    readonly statementHash: Uint8Array;
    readonly sessionKey: Uint8Array;
    /** k; 0 at enrolment. */
    readonly attempt: number;
    readonly point: Uint8Array;
    readonly clientKey: Uint8Array;
    readonly bodyHash: Uint8Array;
  },
) =>
  new Transcript(
    'session',
    s.suite,
    s.purpose,
    s.fleet,
    s.epoch,
    s.statementHash,
    s.index,
    s.sessionKey,
    s.rid,
    s.g,
    s.attempt,
    s.point,
    s.clientKey,
    s.bodyHash,
  );

// HKDF info. Each key is for one generation and one replica.
export const maskTranscript = (rid: Uint8Array, g: Uint8Array, index: number) => new Transcript('mask', rid, g, index);
export const authTranscript = (rid: Uint8Array, g: Uint8Array, index: number) => new Transcript('auth', rid, g, index);
export const payloadTranscript = (rid: Uint8Array, g: Uint8Array) => new Transcript('payload', rid, g);
export const ownerTranscript = (rid: Uint8Array) => new Transcript('owner', rid);
/** Of the client's own: replicas never meet it. */
export const rehearsalTranscript = (rid: Uint8Array) => new Transcript('rehearsal', rid);

/** MACed by replica i: what it stores for one generation. */
export const subRecordTranscript = (
  s: Omit<ReplicaView, 'epoch'> & {
    readonly bodyHash: Uint8Array;
    readonly wrappedKey: Uint8Array;
    readonly wrappedAuth: Uint8Array;
    readonly wrappedRelease: Uint8Array;
    readonly enrolledAtMs: bigint;
  },
) => new Transcript('sub-record', s.fleet, s.index, s.rid, s.g, s.bodyHash, s.wrappedKey, s.wrappedAuth, s.wrappedRelease, s.enrolledAtMs);

/** Signed by the owner key of the generation that is replaced. */
export const replaceTranscript = (name: GenerationName, previous: Uint8Array, bodyHash: Uint8Array) =>
  new Transcript('replace', name.fleet, name.epoch, name.rid, previous, name.g, bodyHash);

/** Signed by V_i once the generation is live in its guard. */
export const enrolledTranscript = (v: ReplicaView, bodyHash: Uint8Array) => new Transcript('enrolled', ...view(v), bodyHash);

/** An attempt: k, and the hash of the one point that it stands for. */
export interface AttemptName extends GenerationName {
  readonly bodyHash: Uint8Array;
  readonly attempt: number;
  readonly pointHash: Uint8Array;
}

/** Signed by V_i once its guard has durably counted the attempt. */
export const voteTranscript = (index: number, a: AttemptName) =>
  new Transcript('vote', ...view({ ...a, index }), a.bodyHash, a.attempt, a.pointHash);

/** Signed by V_i with its evaluation: the client's proof of what was counted, under which limit. */
export const receiptTranscript = (r: ReceiptFields) =>
  new Transcript('receipt', ...view(r), r.attempt, r.limit, r.point, r.evaluated, r.bodyHash, r.enrolledAtMs);

export interface ReceiptFields extends ReplicaView {
  readonly attempt: number;
  readonly limit: number;
  readonly point: Uint8Array;
  readonly evaluated: Uint8Array;
  readonly bodyHash: Uint8Array;
  readonly enrolledAtMs: bigint;
}

/** HMACed with auth_i by a client that knows the code. */
export const proofTranscript = (v: ReplicaView, attempt: number, point: Uint8Array, clientKey: Uint8Array) =>
  new Transcript('proof', ...view(v), attempt, point, clientKey);

/** What a grant for EraseRecord authorises, beside the g that it names. */
export const eraseTranscript = (rid: Uint8Array, g: Uint8Array) => new Transcript('erase', rid, g);
