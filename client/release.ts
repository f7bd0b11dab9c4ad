import { create } from '@bufbuild/protobuf';
import type { Millis } from '../primitives/brand.ts';
import { type ErrorCode, isVaultError, VaultError } from '../primitives/errors.ts';
import type { SecretBytes } from '../primitives/secret-bytes.ts';
import {
  type FinishRecoveryRequest,
  FinishRecoveryRequestSchema,
  type FinishRecoveryResponse,
  type Held,
  type Release,
} from '../proto/gen/backupvault/v1/vault_pb.ts';
import { type Body, type HashedBody, shareOf } from '../protocol/body.ts';
import { expectSigned } from '../protocol/signature.ts';
import { replicaOf, type Statement } from '../protocol/statement.ts';
import { termsOf } from '../protocol/terms.ts';
import { heldTranscript, pointTranscript, proofTranscript, releasedTranscript } from '../protocol/transcripts.ts';
import type { OpenedAttempt } from './attempt.ts';
import { expectEnough, verifyEach } from './claims.ts';
import { type CurveX, curveXOf, divide, liftX, multiply, parseCurvePoint, parseCurveX } from './curve.ts';
import { signWithProofKey } from './derive.ts';
import { fingerprintOf } from './describe.ts';
import { insistInTurn, isUntrusted, type Turns } from './insist.ts';
import { openPayload, type Released } from './open-body.ts';
import type { RecoveryRequest } from './receipts.ts';
import type { Vault } from './vault.ts';

/** Proves the code to the holders and opens the payload with what they release. */
export class ReleaseSession {
  readonly #request: RecoveryRequest;
  readonly #attempt: OpenedAttempt;
  /** b: what is released is hidden from whoever hands it on, and from the hosts of the tokens that made it. */
  readonly #blind: SecretBytes;
  readonly #message: FinishRecoveryRequest;
  readonly #turns: Turns = { turn: 0 };
  /** Everything that holders signed so far: a coordinator that leaves some out delays, and no more. */
  readonly #released = new Map<number, Released>();

  /** `blind`: b, the same for as long as the attempt is. Throws REPLY_UNTRUSTED. */
  constructor(recordId: string, request: RecoveryRequest, attempt: OpenedAttempt, blind: SecretBytes) {
    this.#request = request;
    this.#attempt = attempt;
    this.#blind = blind;
    this.#message = this.#prove(recordId);
  }

  /**
   * May be called again: it sends the same bytes, but for the turn. A reply that does not open the payload is its coordinator's doing, or
   * that of holders that lie. So another coordinator is asked, as many times as there are replicas. Throws NOT_ENOUGH_REPLICAS,
   * REPLY_UNTRUSTED, HELD, VETOED, PROOF_CONFLICT, and errors of the transport.
   */
  async open({ transport, clock }: Pick<Vault, 'transport' | 'clock'>): Promise<SecretBytes> {
    const replicas = this.#request.statement.replicas.length;
    const send = (turn: number) => transport.finishRecovery(create(FinishRecoveryRequestSchema, { ...this.#message, turn }));
    return insistInTurn(clock, { turns: this.#turns, replicas, send, read: (reply) => this.#openWith(reply, clock.now()), isUntrue });
  }

  async #openWith({ releases, held }: FinishRecoveryResponse, now: Millis): Promise<SecretBytes> {
    const { body, s } = this.#attempt;
    const { valid, refused } = await verifyEach(releases, (release) => this.#unblind(release));
    for (const released of valid) this.#released.set(released.index, released);
    const all = [...this.#released.values()];
    if (all.length < body.threshold) await this.#expectNotHeld(held, now);
    expectEnough({ valid: all, refused }, body.threshold, 'releases'); // its epoch's, as the receipts showed
    const backupKey = await openPayload(body, s, all);
    if (!backupKey) throw new VaultError('NOT_ENOUGH_REPLICAS', 'Too few of the holders that answered released truly.');
    this.#blind.wipe();
    for (const { d } of all) d.fill(0);
    return backupKey;
  }

  /** Throws HELD where so many hold their answers back that t answer with them: not before the time at which so many will have released. */
  async #expectNotHeld(held: readonly Held[], now: Millis): Promise<void> {
    const { threshold } = this.#attempt.body;
    const { valid } = await verifyEach(held, (each) => this.#verifyHeld(each));
    const ends = new Map(valid.filter(({ index }) => !this.#released.has(index)).map(({ index, until }) => [index, until]));
    const missing = threshold - this.#released.size;
    const end = [...ends.values()].sort((a, b) => a - b)[missing - 1];
    if (end === undefined) return;
    const { policy } = this.#attempt.body;
    const details = {
      notBefore: Math.min(end, now + Number(policy.holdMs)), // a liar among t may say any time
      fingerprint: fingerprintOf(pointTranscript(this.#request.point).digest, this.#message.blindedBase),
    };
    throw new VaultError(
      'HELD',
      'The code is right. The backup key is given when the hold of the record is over, unless its owner vetoes.',
      {
        details,
      },
    );
  }

  /** Throws REPLY_UNTRUSTED. */
  #verifyHeld({ index, untilMs, signature }: Held): { readonly index: number; readonly until: Millis } {
    const { statement, rid, g, point } = this.#request;
    const { body, bodyHash, attempt } = this.#attempt;
    const { blindedBase } = this.#message;
    const replica = expectHolder(statement, body, index);
    const { fleet, epoch } = statement;
    const transcript = heldTranscript({ fleet, epoch, index, rid, g, attempt, point, blindedBase, untilMs, bodyHash });
    expectSigned(replica, transcript, signature, 'The hold');
    return { index, until: Number(untilMs) };
  }

  /** One proof for every holder, whether it answered or not, and whether its answer was true: it shall learn nothing from being left out. */
  #prove(recordId: string): FinishRecoveryRequest {
    const { statement, rid, g, point } = this.#request;
    const { body, attempt, s } = this.#attempt;
    const { fleet, epoch } = statement;
    const blindedBase = multiply(parseCurvePoint(body.releaseBase, 'body.release_base'), this.#blind);
    const proof = signWithProofKey(s.expose(), rid, g, proofTranscript({ fleet, epoch, rid, g }, attempt, point, blindedBase));
    return create(FinishRecoveryRequestSchema, { recordId, g, attempt, point, blindedBase, proof, epoch: BigInt(epoch) });
  }

  #unblind(release: Release): Released {
    const { body, bodyHash, attempt } = this.#attempt;
    const { blindedBase } = this.#message;
    const { index, released } = verifyRelease(release, { ...this.#request, body, bodyHash, attempt, blindedBase });
    return { index, d: curveXOf(divide(liftX(released), this.#blind)) };
  }
}

/** What the client asked for, by its own account and not by the reply's. */
export interface AskedRelease extends RecoveryRequest, HashedBody {
  readonly attempt: number;
  /** B */
  readonly blindedBase: Uint8Array;
}

function expectHolder(statement: Statement, body: Body, index: number) {
  const replica = replicaOf(statement, index);
  if (!shareOf(body, index) || !termsOf(statement, body.epoch).remaining.has(index))
    throw new VaultError('REPLY_UNTRUSTED', `Replica ${index} holds no share.`);
  return replica;
}

/** Throws REPLY_UNTRUSTED. */
export function verifyRelease(release: Release, asked: AskedRelease): { readonly index: number; readonly released: CurveX } {
  const { index, signature } = release;
  const { statement, body, rid, g, attempt, point, blindedBase, bodyHash } = asked;
  const replica = expectHolder(statement, body, index);
  const released = parseCurveX(release.released, 'release.released');
  const { fleet, epoch } = statement;
  const transcript = releasedTranscript({ fleet, epoch, index, rid, g, attempt, point, blindedBase, released, bodyHash });
  expectSigned(replica, transcript, signature, 'The release');
  return { index, released };
}

/**
 * What no honest vault says to this client, which has found s: A in the body shows it. Nor does a coordinator's bare word end an attempt that t signed for: that is said only once all
 * say so.
 */
const isUntrue = (error: unknown): boolean => isUntrusted(error) || (isVaultError(error) && unsigned.has(error.code));

const unsigned: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['PROOF_REFUSED', 'VETOED', 'PROOF_CONFLICT', 'ATTEMPT_UNKNOWN']);
