import type { Bytes } from '../primitives/bytes.ts';
import { VaultError } from '../primitives/errors.ts';
import type { Enrolled, FinishEnrollmentRequest } from '../proto/gen/backupvault/v1/vault_pb.ts';
import type { HashedBody } from '../protocol/body.ts';
import { expectSigned } from '../protocol/signature.ts';
import { replicaOf } from '../protocol/statement.ts';
import { enrolledTranscript } from '../protocol/transcripts.ts';
import { verifyEach } from './claims.ts';
import { type Drained, drain } from './draining.ts';
import { insist } from './insist.ts';
import type { TrustedStatement } from './trust.ts';
import type { Vault } from './vault.ts';

export interface EnrolmentResult {
  readonly g: Uint8Array;
  readonly epoch: number;
  /** Replicas that signed that they hold a share: m. Enrol again later when they are fewer than `replicas`. */
  readonly holders: readonly number[];
  /** n */
  readonly replicas: number;
  readonly threshold: number;
  /** For the app to keep: with it `rehearse` checks a code without the vault. 32 bytes; no secret to anybody without the backup key. */
  readonly rehearsal: Bytes;
  /** What became of the record in a fleet that is being replaced. */
  readonly drained: Drained;
}

/** A generation that is made and perhaps stored. `finish` may be called until it succeeds: it sends the same bytes each time. */
export class Enrolment {
  readonly #vault: Vault;
  readonly #statement: TrustedStatement;
  readonly #generation: HashedBody;
  readonly #request: FinishEnrollmentRequest;
  readonly #rehearsal: Bytes;
  readonly #moved: Uint8Array | undefined;

  constructor(
    vault: Vault,
    statement: TrustedStatement,
    generation: HashedBody,
    request: FinishEnrollmentRequest,
    rehearsal: Bytes,
    moved: Uint8Array | undefined,
  ) {
    this.#vault = vault;
    this.#statement = statement;
    this.#generation = generation;
    this.#request = request;
    this.#rehearsal = rehearsal;
    this.#moved = moved;
  }

  get g(): Uint8Array {
    return this.#generation.body.g;
  }

  /** Throws OUTCOME_UNKNOWN while fewer than t replicas signed: then the old code may be in force, or the new one. */
  async finish(): Promise<EnrolmentResult> {
    const result = await insist(this.#vault.clock, async () => {
      const { enrolled } = await this.#vault.transport.finishEnrollment(this.#request);
      return this.#verify(enrolled);
    });
    const { ownerKey } = this.#generation.body;
    return { ...result, drained: await drain(this.#vault, { recordId: this.#request.recordId, ownerKey, moved: this.#moved }) };
  }

  async #verify(enrolled: readonly Enrolled[]): Promise<Omit<EnrolmentResult, 'drained'>> {
    const { g, epoch, threshold, replicas } = { ...this.#statement, g: this.g };
    const { valid } = await verifyEach(enrolled, (claim) => verifyEnrolled(claim, this.#statement, this.#generation));
    if (valid.length < threshold)
      throw new VaultError('OUTCOME_UNKNOWN', 'Too few replicas signed that the enrolment is in force; send the same bytes again.', {
        details: { replicasAnswered: valid.length, replicasNeeded: threshold },
      });
    return { g, epoch, holders: valid.map(({ index }) => index), replicas: replicas.length, threshold, rehearsal: this.#rehearsal };
  }
}

/** Throws REPLY_UNTRUSTED. */
export function verifyEnrolled(claim: Enrolled, statement: TrustedStatement, { body, bodyHash }: HashedBody): { readonly index: number } {
  const { index } = claim;
  const replica = replicaOf(statement, index);
  if (!body.shares.some((share) => share.index === index))
    throw new VaultError('REPLY_UNTRUSTED', `Replica ${index} signed for a share that it was not given.`);
  const { fleet, epoch } = statement;
  expectSigned(replica, enrolledTranscript({ fleet, epoch, index, rid: body.rid, g: body.g }, bodyHash), claim.signature, 'The enrolment');
  return { index };
}
