import { createECDH, createHmac, createPublicKey, ECDH, generateKeyPairSync, type KeyObject, randomBytes, sign, verify } from 'node:crypto';
import { create } from '@bufbuild/protobuf';
import { p256 } from '@noble/curves/nist.js';
import { constantTimeEqual, toHex } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import { SignedSchema, type Ticket, TicketSchema } from '../../proto/gen/backupvault/v1/record_pb.ts';
import {
  type DecideHoldRequest,
  DecisionSchema,
  EnrolledSchema,
  type Evaluation,
  EvaluationSchema,
  type FinishEnrollmentRequest,
  type FinishRecoveryRequest,
  HeldSchema,
  type Offer,
  OfferSchema,
  type Release,
  ReleaseSchema,
} from '../../proto/gen/backupvault/v1/vault_pb.ts';
import type { Body, HashedBody } from '../../protocol/body.ts';
import { listDigest, type OwnerList } from '../../protocol/owner-list.ts';
import type { Statement, StatementDocument } from '../../protocol/statement.ts';
import type { Transcript } from '../../protocol/transcript.ts';
import {
  decidedTranscript,
  enrolledTranscript,
  erasedTranscript,
  finishTranscript,
  heldTranscript,
  listedTranscript,
  type OfferFields,
  offerTranscript,
  proofTranscript,
  receiptTranscript,
  releasedTranscript,
  seedTranscript,
  type TicketFields,
  type TweakUse,
  ticketTranscript,
  tweakTranscript,
} from '../../protocol/transcripts.ts';

export const ENROLLED_AT = Date.UTC(2026, 0, 2, 3, 4, 5);

const { Point } = p256;
const { Fn } = Point;

/** What a replica is asked to offer for. */
export interface Asked {
  readonly rid: Uint8Array;
  readonly g: Uint8Array;
  readonly point: Uint8Array;
  readonly proofKey: Uint8Array;
}

/** A generation as a replica names it when it makes tweaks. */
/** What a receipt says of the counter. */
export interface Counts {
  readonly attempt: number;
  readonly used: number;
}

interface Seeded {
  readonly fleet: string;
  readonly rid: Uint8Array;
  readonly g: Uint8Array;
  readonly seed: Uint8Array;
}

/**
 * One replica and its token, in software and by other code than the client's where there is any: OpenSSL's HMAC, ECDH and ECDSA, and
 * scalars as big integers. It has no clock and counts no changes.
 */
export class SoftReplica {
  readonly index: number;
  /** Evaluates under a wrong key, and signs that. */
  lies = false;
  /** Releases something else, and signs that. */
  liesAtRelease = false;
  readonly #k = randomScalar();
  readonly #r = randomScalar();
  readonly #mac = randomBytes(32);
  readonly #receipt = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  readonly #operator: string;
  #ticketSecret = randomBytes(32);
  readonly #held = new Map<string, { readonly bodyHash: Uint8Array; readonly seeded: Seeded }>();

  constructor(index: number, operator: string) {
    this.index = index;
    this.#operator = operator;
  }

  entry(): StatementDocument['replicas'][number] {
    return {
      index: this.index,
      name: `replica-${this.index}`,
      operator: this.#operator,
      oprf_key: Point.BASE.multiply(this.#k).toHex(),
      release_key: Point.BASE.multiply(this.#r).toHex(),
      receipt_key: toHex(compressed(this.#receipt.publicKey)),
      guard_incarnation: 1,
      token: { manufacturer: 'test', model: 'test', serial: String(this.index), firmware: '0' },
      key_attributes: {},
    };
  }

  /** As CKM_ECDSA does: with whatever s comes out. */
  sign({ preimage }: Transcript): Uint8Array {
    return sign('sha256', preimage, { key: this.#receipt.privateKey, dsaEncoding: 'ieee-p1363' });
  }

  /** Its tickets are worth nothing from now on. */
  restart(): void {
    this.#ticketSecret = randomBytes(32);
  }

  holds(g: Uint8Array): boolean {
    return this.#held.has(toHex(g));
  }

  /** What the use of its token is worth. */
  get token() {
    return { index: this.index, oprfKey: Fn.toBytes(this.#k), releaseKey: Fn.toBytes(this.#r), macKey: this.#mac };
  }

  /** For whoever reads its memory. */
  get ticketSecret(): Uint8Array {
    return this.#ticketSecret;
  }

  /** All that it has of a generation, for whoever took it over: the seed, and its keys as they are for this generation. */
  stateOf(g: Uint8Array) {
    const seeded = this.#seeded(g);
    const key = (use: TweakUse) => Fn.toBytes(this.#scalar(use, seeded));
    return { index: this.index, seed: seeded.seed, oprfKey: key('oprf'), releaseKey: key('release') };
  }

  offer({ fleet, epoch }: Statement, asked: Asked): Offer {
    const fields: TicketFields = {
      ...{ fleet, epoch, index: this.index, ...asked },
      ...{ nonce: randomBytes(16), expiresAtMs: 4_000_000_000_000n, changes: 0n },
    };
    return this.offerOf(this.#evaluated(fields));
  }

  /** An offer of whatever is in it, with the tag and the signature that it should have. */
  offerOf(fields: OfferFields): Offer {
    const tag = this.#tagOf(fields);
    const ticket = create(TicketSchema, { ...fields, tag });
    return create(OfferSchema, { ticket, signature: this.sign(offerTranscript(fields, tag)) });
  }

  /** Throws FINISH_REFUSED, TICKET_REFUSED, GENERATION_CONFLICT. */
  prepare({ fleet, epoch }: Statement, { body, bodyHash }: HashedBody, { point, tickets, signature }: FinishEnrollmentRequest): void {
    const { rid, g } = body;
    const held = this.#held.get(toHex(g));
    if (held && !constantTimeEqual(held.bodyHash, bodyHash)) throw new VaultError('GENERATION_CONFLICT', 'another body came first');
    if (held) return;
    const tags = tickets.map(({ tag }) => tag);
    if (!isSigned(body.proofKey, finishTranscript({ fleet, epoch, rid, g }, bodyHash, tags), signature))
      throw new VaultError('FINISH_REFUSED', 'not signed by who began');
    const ticket = tickets[body.shares.findIndex(({ index }) => index === this.index)];
    const fields = { fleet, epoch, rid, g, point, proofKey: body.proofKey, ...(ticket as Ticket) };
    if (!ticket || ticket.index !== this.index || !constantTimeEqual(this.#tagOf(this.#evaluated(fields)), ticket.tag))
      throw new VaultError('TICKET_REFUSED', 'not a ticket of this replica');
    this.#held.set(toHex(g), { bodyHash, seeded: { fleet, rid, g, seed: this.#seedOf(fields) } });
  }

  enrolled({ fleet, epoch }: Statement, { body: { rid, g }, bodyHash }: HashedBody) {
    const { index } = this;
    return create(EnrolledSchema, { index, signature: this.sign(enrolledTranscript({ fleet, epoch, index, rid, g }, bodyHash)) });
  }

  evaluate(statement: Statement, hashed: HashedBody, { attempt, used }: Counts, point: Uint8Array): Evaluation {
    const { g, policy } = hashed.body;
    const key = this.lies ? randomScalar() : this.#scalar('oprf', this.#seeded(g));
    return this.receipt(statement, hashed, { attempt, used, limit: policy.limit }, point, xOfProduct(point, key));
  }

  receipt(
    statement: Statement,
    { body, bodyHash }: HashedBody,
    counts: Counts & { readonly limit: number },
    point: Uint8Array,
    evaluated: Uint8Array,
  ) {
    const { index } = this;
    const enrolledAtMs = BigInt(ENROLLED_AT + index);
    const { fleet, epoch } = statement;
    const { rid, g } = body;
    const transcript = receiptTranscript({ fleet, epoch, index, rid, g, ...counts, point, evaluated, bodyHash, enrolledAtMs });
    return create(EvaluationSchema, { index, evaluated, enrolledAtMs, used: counts.used, signature: this.sign(transcript) });
  }

  /** Throws PROOF_REFUSED. */
  release(statement: Statement, hashed: HashedBody, request: FinishRecoveryRequest): Release {
    const { fleet, epoch } = statement;
    const { rid, g, proofKey } = hashed.body;
    const { attempt, point, blindedBase, proof } = request;
    if (!isSigned(proofKey, proofTranscript({ fleet, epoch, rid, g }, attempt, point, blindedBase), proof))
      throw new VaultError('PROOF_REFUSED', 'wrong proof');
    const key = this.liesAtRelease ? randomScalar() : this.#scalar('release', this.#seeded(g));
    return this.releaseOf(statement, hashed, request, xOfProduct(blindedBase, key));
  }

  /** Whatever is released, signed as it should be. */
  releaseOf({ fleet, epoch }: Statement, { body, bodyHash }: HashedBody, request: FinishRecoveryRequest, released: Uint8Array): Release {
    const { index } = this;
    const { rid, g } = body;
    const { attempt, point, blindedBase } = request;
    const transcript = releasedTranscript({ fleet, epoch, index, rid, g, attempt, point, blindedBase, released, bodyHash });
    return create(ReleaseSchema, { index, released, signature: this.sign(transcript) });
  }

  /** That it keeps its answer back. */
  heldUntil({ fleet, epoch }: Statement, { body, bodyHash }: HashedBody, request: FinishRecoveryRequest, until: number) {
    const { index } = this;
    const { rid, g } = body;
    const { attempt, point, blindedBase } = request;
    const untilMs = BigInt(until);
    const transcript = heldTranscript({ fleet, epoch, index, rid, g, attempt, point, blindedBase, untilMs, bodyHash });
    return create(HeldSchema, { index, untilMs, signature: this.sign(transcript) });
  }

  decided({ fleet, epoch }: Statement, { rid, g, shares, threshold }: Body, { veto, attempt, pointHash }: DecideHoldRequest) {
    const { index } = this;
    const meeting = shares.length - threshold + 1;
    const transcript = decidedTranscript(veto, { fleet, epoch, index, rid, g, attempt, pointHash, meeting });
    return create(DecisionSchema, { index, meeting, signature: this.sign(transcript) });
  }

  /** What lies beside the record. */
  listed({ fleet, epoch }: Statement, { epoch: of, rid, g, ownerKey }: Body, list: OwnerList | undefined) {
    const { index } = this;
    const digest = list ? listDigest(fleet, rid, list).digest : new Uint8Array(0);
    return { index, signature: this.sign(listedTranscript({ fleet, epoch, index, rid, g }, of, ownerKey, digest)) };
  }

  erased({ fleet, epoch }: Statement, rid: Uint8Array, g: Uint8Array) {
    const { index } = this;
    return create(SignedSchema, { index, signature: this.sign(erasedTranscript({ fleet, epoch, index, rid, g })) });
  }

  #seeded(g: Uint8Array): Seeded {
    const held = this.#held.get(toHex(g));
    if (!held) throw new VaultError('GENERATION_UNKNOWN', 'not held');
    return held.seeded;
  }

  #seedOf(fields: TicketFields): Uint8Array {
    return hmac(this.#ticketSecret, seedTranscript(fields).digest);
  }

  #tagOf(fields: OfferFields): Uint8Array {
    return hmac(this.#seedOf(fields), ticketTranscript(fields).digest);
  }

  /** Z and F for what a ticket is made of. */
  #evaluated(fields: TicketFields): OfferFields {
    const seeded = { ...fields, seed: this.#seedOf(fields) };
    const evaluated = xOfProduct(fields.point, this.#scalar('oprf', seeded));
    return { ...fields, evaluated, releaseElement: xOfProduct(Point.BASE.toBytes(), this.#scalar('release', seeded)) };
  }

  /** k·t or r·t. */
  #scalar(use: TweakUse, { fleet, rid, g, seed }: Seeded): bigint {
    const { digest } = tweakTranscript(use, { fleet, index: this.index, rid, g, seed });
    return Fn.mul(use === 'oprf' ? this.#k : this.#r, tweakOf(hmac(this.#mac, digest)));
  }
}

const hmac = (key: Uint8Array, ...parts: Uint8Array[]): Uint8Array =>
  parts.reduce((mac, part) => mac.update(part), createHmac('sha256', key)).digest();

const randomScalar = (): bigint => Fn.fromBytes(p256.utils.randomSecretKey());

/** The first block of HKDF-Expand that is a scalar. */
function tweakOf(prk: Uint8Array): bigint {
  const info = Buffer.from('bkv/v1/scalar');
  let block = hmac(prk, info, Uint8Array.of(1));
  for (let i = 2; ; i++) {
    const scalar = BigInt(`0x${toHex(block)}`);
    if (Fn.isValidNot0(scalar)) return scalar;
    block = hmac(prk, block, info, Uint8Array.of(i));
  }
}

function xOfProduct(point: Uint8Array, scalar: bigint): Uint8Array {
  const ecdh = createECDH('prime256v1');
  ecdh.setPrivateKey(Fn.toBytes(scalar));
  return ecdh.computeSecret(point);
}

function compressed(key: KeyObject): Uint8Array {
  const { x, y } = key.export({ format: 'jwk' });
  const coordinates = [x, y].map((coordinate) => Buffer.from(coordinate as string, 'base64url'));
  return ECDH.convertKey(Buffer.concat([Uint8Array.of(4), ...coordinates]), 'prime256v1', undefined, undefined, 'compressed') as Buffer;
}

function isSigned(key: Uint8Array, { preimage }: Transcript, signature: Uint8Array): boolean {
  const point = ECDH.convertKey(key, 'prime256v1', undefined, undefined, 'uncompressed') as Buffer;
  const [x, y] = [point.subarray(1, 33), point.subarray(33)].map((coordinate) => coordinate.toString('base64url')) as [string, string];
  const publicKey = createPublicKey({ format: 'jwk', key: { kty: 'EC', crv: 'P-256', x, y } });
  return verify('sha256', preimage, { key: publicKey, dsaEncoding: 'ieee-p1363' }, signature);
}
