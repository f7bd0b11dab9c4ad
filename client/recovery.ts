import type { Millis } from '../primitives/brand.ts';
import { constantTimeEqual, utf8 } from '../primitives/bytes.ts';
import { type ErrorCode, isVaultError, VaultError } from '../primitives/errors.ts';
import { SecretBytes } from '../primitives/secret-bytes.ts';
import { type OpenedAttempt, tryPoint } from './attempt.ts';
import { normaliseCode } from './code.ts';
import { codeInput } from './derive.ts';
import { type Described, describe } from './describe.ts';
import { type Description, type Located, locate, type Other, type Side } from './locate.ts';
import type { Blinded } from './oprf.ts';
import type { RecoveryRequest } from './receipts.ts';
import { ReleaseSession } from './release.ts';
import { type Progress, ridOf, type Vault } from './vault.ts';

export interface Recovered {
  readonly backupKey: SecretBytes;
  readonly attempt: OpenedAttempt;
  /** By the replicas' clocks; the median, so that a minority cannot move it far. */
  readonly enrolledAt: Millis;
  /** The OPRF's, for the re-enrolment that follows. */
  readonly input: SecretBytes;
  /** Where the record was. */
  readonly fleet: Side;
  /** What the other fleet has. */
  readonly other: Other;
}

/**
 * After these this entry of the code is over: the record is gone or another. Nobody signed that, so the blind is kept (client/blinds.ts): where
 * it was not so, the same code is the same point.
 */
const final: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['GENERATION_UNKNOWN', 'RECORD_UNKNOWN', 'EXHAUSTED', 'ERASED']);

interface Begun {
  readonly vault: Vault;
  readonly g: Uint8Array;
  readonly blinded: Blinded & { readonly base: SecretBytes };
}

/**
 * One entry of a code. It keeps its blind until the code is known to be right or wrong, so that `run` can always be called again
 * and sends the same point: a lost reply costs nothing.
 */
export class Recovery {
  readonly #vault: Vault;
  readonly #recordId: string;
  readonly #code: SecretBytes;
  readonly #from: Side | undefined;
  #isAnew: boolean;
  #begun: Begun | undefined;
  #release: { readonly statementHash: Uint8Array; readonly session: ReleaseSession } | undefined;
  #isOver = false;

  /** `from`: the fleet whose record is meant, where the app says so. `anew`: what was sent before for this record is given up. */
  constructor(vault: Vault, recordId: string, code: string, { from, anew = false }: { from?: Side | undefined; anew?: boolean }) {
    this.#vault = vault;
    this.#recordId = recordId;
    this.#code = new SecretBytes(utf8(normaliseCode(code)));
    this.#from = from;
    this.#isAnew = anew;
  }

  /** Nothing is gained by running it again. */
  get isOver(): boolean {
    return this.#isOver;
  }

  isFor(code: string): boolean {
    return constantTimeEqual(this.#code.expose(), utf8(normaliseCode(code)));
  }

  async run(progress: Progress): Promise<Recovered> {
    try {
      const recovered = await this.#run(progress);
      this.#isOver = true;
      this.#begun?.blinded.blind.wipe();
      this.#begun?.blinded.base.wipe();
      this.#code.wipe();
      return recovered;
    } catch (error) {
      this.#isOver = isFinal(error);
      throw error;
    }
  }

  async #run(progress: Progress): Promise<Recovered> {
    progress('describing');
    const located = await this.#locate(); // brings the fleet's present statement, too
    try {
      return await this.#runAt(located, progress);
    } catch (error) {
      if (isVaultError(error, 'STATEMENT_MISMATCH')) return this.#underNextStatement(located, progress);
      if (located.vault === this.#vault || !isVaultError(error) || !final.has(error.code)) throw error;
      const again = await this.#locate();
      if (again.vault !== this.#vault) throw error;
      return this.#runAt(again, progress); // another device moved it under our hands
    }
  }

  /** Replicas went on to another statement under our hands. The point is the same, and free. */
  async #underNextStatement({ vault }: Located, progress: Progress): Promise<Recovered> {
    await describe(vault, this.#recordId, vault.fleet.knownEpoch + 1n); // for the statement that it brings
    return this.#runAt(await this.#locate(), progress);
  }

  #locate = () => locate(this.#vault, this.#recordId, this.#from);

  async #runAt(located: Located, progress: Progress): Promise<Recovered> {
    try {
      return await this.#recoverAt(located, progress);
    } catch (error) {
      throw beside(located.current, error);
    }
  }

  async #recoverAt({ vault, current, other }: Located, progress: Progress): Promise<Recovered> {
    const statement = await vault.fleet.statement();
    if (this.#begun?.vault !== vault) [this.#begun, this.#release] = [undefined, undefined];
    if (this.#isAnew) await vault.blinds.drop(ridOf(vault, this.#recordId), current.g);
    this.#isAnew = false;
    this.#begun ??= await this.#begin(vault, current);
    const { g, blinded } = this.#begun;
    const request: RecoveryRequest = { statement, rid: ridOf(vault, this.#recordId), g, point: blinded.point };
    const attempt = await tryPoint(vault, this.#recordId, request, blinded, progress);
    progress('releasing');
    const backupKey = await this.#sessionFor(request, attempt, blinded.base).open(vault);
    await vault.blinds.drop(request.rid, g).catch(() => {}); // it opened: one that stays is of no more use to anybody than before
    const enrolledAt = median(attempt.valid.map((answer) => answer.enrolledAt));
    return { backupKey, attempt, enrolledAt, input: blinded.input, fleet: current.fleet, other };
  }

  /**
   * The cool-down is left to the replicas, which refuse before they count: a device's clock may be wrong. So is the limit where this device
   * tried a code before: its point may be one that was paid for.
   */
  async #begin(vault: Vault, { state, g, attemptsUsed, attemptsLimit }: Described) {
    const rid = ridOf(vault, this.#recordId);
    const details = { attemptsUsed, attemptsLimit };
    if (state === 'erased') throw new VaultError('ERASED', 'The record was erased; enrol again.');
    if (state === 'exhausted' && !(await vault.blinds.knows(rid, g)))
      throw new VaultError('EXHAUSTED', 'Every attempt is spent; the record will be erased.', { details });
    const code = new TextDecoder().decode(this.#code.expose());
    return { vault, g, blinded: await vault.blinds.blind(rid, g, codeInput(code, vault.fleet.name, rid)) };
  }

  /** The same for as long as the fleet's statement, whose epoch the proof names, is the same. */
  #sessionFor(request: RecoveryRequest, attempt: OpenedAttempt, base: SecretBytes): ReleaseSession {
    const { hash } = request.statement;
    if (!this.#release || !constantTimeEqual(this.#release.statementHash, hash))
      this.#release = { statementHash: hash, session: new ReleaseSession(this.#recordId, request, attempt, base) };
    return this.#release.session;
  }
}

/** With a word of the other fleet's record: the code may be right there. */
function beside({ rival }: Description, error: unknown): unknown {
  if (rival === 'none' || !isVaultError(error)) return error;
  return new VaultError(error.code, error.message, { cause: error, details: { ...error.details, rival } });
}

function isFinal(error: unknown): boolean {
  if (!isVaultError(error)) return false;
  const { replicasAnswered, replicasNeeded } = error.details;
  return error.code === 'WRONG_CODE' ? replicasAnswered === replicasNeeded : final.has(error.code);
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)] as number;
}
