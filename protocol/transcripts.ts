import type { Body } from '../proto/gen/backupvault/v1/record_pb.ts';
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

/** What grants call an account: they stay in etcd, and shall not tell there whose they are. */
export const accountTranscript = (fleet: string, tenant: string, recordId: string) => new Transcript('account', fleet, tenant, recordId);

/** rid. `account`: 32 bytes, the transcript before. */
export const recordTranscript = (fleet: string, tenant: string, account: Uint8Array) => new Transcript('record', fleet, tenant, account);

/**
 * The OPRF's input. It names the record: all records of a replica share one key, and where tweaks were copied, one evaluation must not
 * serve for two of them.
 */
export const codeTranscript = (fleet: string, rid: Uint8Array, code: Uint8Array) => new Transcript('code', fleet, rid, code);

/** h, the name of a blinded element in counters and grants. */
export const pointTranscript = (point: Uint8Array) => new Transcript('point', point);

/** What a grant for BeginEnrollment authorises. */
export const beginEnrolmentTranscript = (point: Uint8Array, proofKey: Uint8Array) => new Transcript('begin-enrolment', point, proofKey);

/** Who may finish what, and until when: all that the seed of a generation is made of, beside the ticket secret. */
export interface TicketFields extends ReplicaView {
  readonly point: Uint8Array;
  readonly proofKey: Uint8Array;
  /** 16 bytes, fresh for each offer. */
  readonly nonce: Uint8Array;
  readonly expiresAtMs: bigint;
  readonly changes: bigint;
}

const ticket = (t: TicketFields): Field[] => [...view(t), t.point, t.proofKey, t.nonce, t.expiresAtMs, t.changes];

/** HMACed by replica i with its ticket secret: the seed of a generation, 32 bytes. */
export const seedTranscript = (t: TicketFields) => new Transcript('seed', ...ticket(t));

export type TweakUse = 'oprf' | 'release';

/** MACed by replica i: what its keys are multiplied with for one generation (scalar.ts). Not for one epoch: the keys of its epoch say so. */
export const tweakTranscript = (use: TweakUse, t: Omit<ReplicaView, 'epoch'> & { readonly seed: Uint8Array }) =>
  new Transcript('tweak', use, t.fleet, t.index, t.rid, t.g, t.seed);

export interface OfferFields extends TicketFields {
  /** Z_i */
  readonly evaluated: Uint8Array;
  /** F_i */
  readonly releaseElement: Uint8Array;
}

const offered = (o: OfferFields): Field[] => [...ticket(o), o.evaluated, o.releaseElement];

/** HMACed by replica i with the seed: shows it, when the enrolment is finished, that it offered just this. */
export const ticketTranscript = (o: OfferFields) => new Transcript('ticket', ...offered(o));

/** Signed by V_i. */
export const offerTranscript = (o: OfferFields, tag: Uint8Array) => new Transcript('offer', ...offered(o), tag);

/** Everything of a body but the payload. */
const bodyFields = (b: Body): Field[] => [
  b.version,
  b.fleet,
  b.epoch,
  b.rid,
  b.g,
  b.threshold,
  b.shares.length,
  ...b.shares.flatMap((s): Field[] => [s.index, s.x, s.mask, s.releaseMask]),
  b.policy?.limit ?? 0,
  b.policy?.coolDownMs ?? 0n,
  b.policy?.holdMs ?? 0n,
  b.ownerKey,
  b.previous,
  b.proofKey,
  b.releaseBase,
  b.number,
  b.line,
];

/** The associated data of the payload's AES-256-GCM. */
export const payloadDataTranscript = (body: Body) => new Transcript('payload-data', ...bodyFields(body));

/** body_hash. */
export const bodyTranscript = (body: Body) => new Transcript('body', ...bodyFields(body), body.payload);

/**
 * Signed by the private key of A: who began the enrolment finishes it, with this body and these offers. `tags` are those of the tickets, in
 * the order of the body's shares.
 */
export const finishTranscript = (name: GenerationName, bodyHash: Uint8Array, tags: readonly Uint8Array[]) =>
  new Transcript('finish', name.fleet, name.epoch, name.rid, name.g, bodyHash, ...tags);

/** The salt of Argon2id, by which an OPRF output is stretched. */
export const maskTranscript = (rid: Uint8Array, g: Uint8Array, index: number) => new Transcript('mask', rid, g, index);

// HKDF info. Each key is for one generation, and those of shares for one replica.
export const releaseMaskTranscript = (rid: Uint8Array, g: Uint8Array, index: number) => new Transcript('release-mask', rid, g, index);
export const proofKeyTranscript = (rid: Uint8Array, g: Uint8Array) => new Transcript('proof-key', rid, g);
export const payloadTranscript = (rid: Uint8Array, g: Uint8Array) => new Transcript('payload', rid, g);
export const ownerTranscript = (rid: Uint8Array) => new Transcript('owner', rid);
/** Of the client's own, as the next: replicas never meet them. HKDF info of the scalar that blinds an input. */
export const blindTranscript = (rid: Uint8Array, g: Uint8Array, input: Uint8Array) => new Transcript('blind', rid, g, input);

/** HKDF info of the scalar b, which hides what is released: the same again after a restart, where a hold has to be waited for. */
export const baseTranscript = (rid: Uint8Array, g: Uint8Array, input: Uint8Array) => new Transcript('base', rid, g, input);

export const rehearsalTranscript = (rid: Uint8Array) => new Transcript('rehearsal', rid);

/** MACed by replica i: what it stores for one generation. */
export const subRecordTranscript = (
  s: Omit<ReplicaView, 'epoch'> & {
    readonly bodyHash: Uint8Array;
    readonly seed: Uint8Array;
    readonly enrolledAtMs: bigint;
  },
) => new Transcript('sub-record', s.fleet, s.index, s.rid, s.g, s.bodyHash, s.seed, s.enrolledAtMs);

/** Signed by V_i once its guard durably keeps the generation, ready to serve it. */
export const preparedTranscript = (v: ReplicaView, previous: Uint8Array, bodyHash: Uint8Array) =>
  new Transcript('prepared', ...view(v), previous, bodyHash);

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
  new Transcript('receipt', ...view(r), r.attempt, r.limit, r.used, r.point, r.evaluated, r.bodyHash, r.enrolledAtMs);

export interface ReceiptFields extends ReplicaView {
  readonly attempt: number;
  readonly limit: number;
  /** Attempts that its guard has counted. */
  readonly used: number;
  readonly point: Uint8Array;
  /** Z_i: an x coordinate, 32 bytes. */
  readonly evaluated: Uint8Array;
  readonly bodyHash: Uint8Array;
  readonly enrolledAtMs: bigint;
}

/** Signed by the private key of A, by a client that knows the code. */
export const proofTranscript = (name: GenerationName, attempt: number, point: Uint8Array, blindedBase: Uint8Array) =>
  new Transcript('proof', name.fleet, name.epoch, name.rid, name.g, attempt, point, blindedBase);

export interface ReleasedFields extends ReplicaView {
  readonly attempt: number;
  readonly point: Uint8Array;
  /** B */
  readonly blindedBase: Uint8Array;
  /** An x coordinate, 32 bytes. */
  readonly released: Uint8Array;
  readonly bodyHash: Uint8Array;
}

/** Signed by V_i with what it releases: so that nobody on the way makes an honest holder look like a liar. */
export const releasedTranscript = (r: ReleasedFields) =>
  new Transcript('released', ...view(r), r.attempt, r.point, r.blindedBase, r.released, r.bodyHash);

/** Signed by V_i where a proof is right and its hold is not over. `until`: by its clock, ms. */
export const heldTranscript = (h: Omit<ReleasedFields, 'released'> & { readonly untilMs: bigint }) =>
  new Transcript('held', ...view(h), h.attempt, h.point, h.blindedBase, h.untilMs, h.bodyHash);

/** An attempt that is held, under whatever epoch. */
export interface HeldName {
  readonly fleet: string;
  readonly rid: Uint8Array;
  readonly g: Uint8Array;
  readonly attempt: number;
  readonly pointHash: Uint8Array;
}

const held = ({ fleet, rid, g, attempt, pointHash }: HeldName): Field[] => [fleet, rid, g, attempt, pointHash];

/** Signed by the owner key of the generation: the attempt is not the owner's, whoever proves it. */
export const vetoTranscript = (h: HeldName) => new Transcript('veto', ...held(h));

/** The same: it is the owner's, who proved it with this base, and nobody else's. */
export const approveTranscript = (h: HeldName, blindedBase: Uint8Array) => new Transcript('approve', ...held(h), blindedBase);

export interface DecidedFields extends ReplicaView {
  readonly attempt: number;
  readonly pointHash: Uint8Array;
  /** m−t+1 of the record. */
  readonly meeting: number;
}

/** Signed by V_i once its guard durably keeps to that, and has not released. */
export const decidedTranscript = (veto: boolean, d: DecidedFields) =>
  new Transcript(veto ? 'vetoed' : 'approved', ...view(d), d.attempt, d.pointHash, d.meeting);

/** Signed by the owner key: what is kept beside the record, whatever its epoch and generation. */
export const listTranscript = (fleet: string, rid: Uint8Array, counter: bigint, content: Uint8Array) =>
  new Transcript('list', fleet, rid, counter, content);

/** Signed by V_i of what lies beside the generation that it serves, which is of epoch `of`. `list`: the transcript before; empty for none. */
export const listedTranscript = (v: ReplicaView, of: bigint, ownerKey: Uint8Array, list: Uint8Array) =>
  new Transcript('listed', ...view(v), of, ownerKey, list);

/** Signed by V_i once every attempt of the generation was counted in its guard, and the grace since then is over by its own clock. */
export const spentTranscript = (v: ReplicaView) => new Transcript('spent', ...view(v));

/** Signed by V_i once it holds nothing of the generation, and nothing that its seed could be made of again. It never serves it again. */
export const erasedTranscript = (v: ReplicaView) => new Transcript('erased', ...view(v));

/** What a grant for EraseRecord authorises, beside the g that it names. */
export const eraseTranscript = (rid: Uint8Array, g: Uint8Array) => new Transcript('erase', rid, g);
