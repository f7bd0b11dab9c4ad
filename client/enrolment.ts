import { create } from '@bufbuild/protobuf';
import type { Bytes } from '../primitives/bytes.ts';
import { isVaultError, VaultError } from '../primitives/errors.ts';
import { type Enrolled, type FinishEnrollmentRequest, FinishEnrollmentRequestSchema } from '../proto/gen/backupvault/v1/vault_pb.ts';
import type { HashedBody } from '../protocol/body.ts';
import { expectSigned } from '../protocol/signature.ts';
import { replicaOf } from '../protocol/statement.ts';
import { enrolledTranscript } from '../protocol/transcripts.ts';
import { verifyEach } from './claims.ts';
import { type Drained, drain } from './draining.ts';
import { type Dropping, isDropped } from './dropped.ts';
import { insistInTurn, isUntrusted } from './insist.ts';
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
  /** Where it was asked for, for the app to keep: with it `rehearse` checks a code without the vault. 2 bytes; beside the backup key, 10 bits of the code. */
  readonly rehearsal: Bytes | undefined;
  /** What became of the record in a fleet that is being replaced. */
  readonly drained: Drained;
}

/** A generation, and the bytes that store it. */
export interface Begun extends HashedBody {
  readonly statement: TrustedStatement;
  /** Who must have dropped what it replaces. */
  readonly dropping: readonly Dropping[];
  /** So many must sign that they hold it. */
  readonly holdersLeast: number;
  readonly request: FinishEnrollmentRequest;
}

/** How a generation is begun; what it takes is wiped once no other one may follow. */
export interface Beginning {
  begin(): Promise<Begun>;
  wipe(): void;
}

/** What belongs to an enrolment whatever its generation. */
export interface EnrolmentTerms {
  readonly rehearsal: Bytes | undefined;
  /** Of the backup key, and of the one that it takes the place of. */
  readonly ownerKeys: readonly Uint8Array[];
  /** g in a fleet that is being replaced, from which the record moves. */
  readonly moved: Uint8Array | undefined;
}

/** A generation that is made and perhaps stored. `finish` may be called until it succeeds. */
export class Enrolment {
  readonly #vault: Vault;
  readonly #terms: EnrolmentTerms;
  #begun: Begun;
  /** Until the one generation that may follow was begun, or this one may be stored. */
  #beginning: Beginning | undefined;
  #inDoubt = false;
  #running: Promise<EnrolmentResult> | undefined;

  constructor(vault: Vault, begun: Begun, beginning: Beginning, terms: EnrolmentTerms) {
    this.#vault = vault;
    this.#begun = begun;
    this.#beginning = beginning;
    this.#terms = terms;
  }

  get g(): Uint8Array {
    return this.#begun.body.g;
  }

  /** Whether it may be stored although `finish` failed. */
  get isInDoubt(): boolean {
    return this.#inDoubt;
  }

  /**
   * Sends the same bytes each time. Replicas that restarted meanwhile know their tickets no more: where that was the only answer so far,
   * another generation is begun and stored in place of this one, once. Throws OUTCOME_UNKNOWN while fewer than t replicas signed, or so few of
   * those before that t of them may still serve what is replaced: then the old code may be in force, or the new one.
   */
  finish(): Promise<EnrolmentResult> {
    this.#running ??= this.#finish().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #finish(): Promise<EnrolmentResult> {
    const result = await this.#storeOrBeginAgain();
    const { recordId } = this.#begun.request;
    const { g } = this.#begun.body;
    const { ownerKeys, moved, rehearsal } = this.#terms;
    return { ...result, rehearsal, drained: await drain(this.#vault, { recordId, g, ownerKeys, moved }) };
  }

  /** Each generation is one more evaluation of the code. A vault that kept refusing would get guesses that way, so two are the most. */
  async #storeOrBeginAgain() {
    try {
      return await this.#store();
    } catch (error) {
      const beginning = this.#beginning;
      if (!beginning || !isStale(error)) throw error;
      this.#beginning = undefined;
      try {
        this.#begun = await beginning.begin();
      } finally {
        beginning.wipe();
      }
      return this.#store();
    }
  }

  #store() {
    const { replicas } = this.#begun.statement;
    const noting = async <T>(work: Promise<T>): Promise<T> => {
      try {
        return await work;
      } catch (error) {
        if (!isStale(error)) this.#keep();
        if (isVaultError(error, 'OUTCOME_UNKNOWN')) this.#inDoubt = true;
        throw error;
      }
    };
    const { transport, clock } = this.#vault;
    return insistInTurn(clock, {
      replicas: replicas.length,
      send: (turn) => noting(transport.finishEnrollment(create(FinishEnrollmentRequestSchema, { ...this.#begun.request, turn }))),
      read: async ({ enrolled }) => {
        const result = await noting(verifyAll(enrolled, this.#begun));
        this.#keep();
        return result;
      },
      isUntrue: isUntrusted,
    });
  }

  /** This generation is stored, or may be: none is begun in its place. */
  #keep(): void {
    this.#beginning?.wipe();
    this.#beginning = undefined;
  }
}

/** Nothing was stored where this is the only answer that a generation ever got. */
const isStale = (error: unknown): boolean => isVaultError(error, 'TICKET_REFUSED') || isVaultError(error, 'TICKET_EXPIRED');

/** Throws OUTCOME_UNKNOWN. */
async function verifyAll(enrolled: readonly Enrolled[], { statement, body, bodyHash, dropping, holdersLeast }: Begun) {
  const { epoch, threshold, replicas } = statement;
  const needed = Math.max(threshold, holdersLeast);
  const { valid } = await verifyEach(enrolled, (claim) => verifyEnrolled(claim, statement, { body, bodyHash }));
  if (valid.length < needed)
    throw new VaultError('OUTCOME_UNKNOWN', 'Too few replicas signed that the enrolment is in force; send the same bytes again.', {
      details: { replicasAnswered: valid.length, replicasNeeded: needed },
    });
  const holders = valid.map(({ index }) => index);
  if (!isDropped(dropping, holders))
    throw new VaultError(
      'OUTCOME_UNKNOWN',
      'Too few of the replicas that may hold what is replaced dropped it; send the same bytes again.',
      {
        details: { replicasAnswered: valid.length },
      },
    );
  return { g: body.g, epoch, holders, replicas: replicas.length, threshold };
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
