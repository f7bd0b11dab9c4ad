import type { Millis } from '../primitives/brand.ts';
import type { SecretBytes } from '../primitives/secret-bytes.ts';
import { parseRecordId } from '../protocol/record-id.ts';
import { checkCode } from './code-check.ts';
import { type Recovered, Recovery } from './recovery.ts';
import { type Renewal, renew } from './renewal.ts';
import type { Progress, Vault } from './vault.ts';

export interface RecoverInput {
  readonly recordId: string;
  readonly code: string;
  /** Whether to enrol again at once after success, under the same code and policy. On by default. */
  readonly renew?: boolean;
  readonly allowFewerHolders?: boolean;
  /** As EnrolInput has it, for the record that is enrolled again. */
  readonly holdersLeast?: number;
  /** As EnrolInput has it, for the record that is enrolled again. */
  readonly rehearsal?: boolean;
  readonly progress?: Progress;
}

export interface RecoveryResult {
  readonly backupKey: SecretBytes;
  /** This was attempt k of `limit`. */
  readonly attempt: number;
  readonly limit: number;
  /** Attempts before this one that were not made through this client: tell the user, who knows whether they were theirs. */
  readonly attemptsElsewhere: number;
  /** When the record was made. */
  readonly enrolledAt: Millis;
  readonly renewal: Renewal;
}

interface Entry {
  readonly recovery: Recovery;
  running: Promise<RecoveryResult> | undefined;
}

/** The recoveries of one client. One that ended in doubt is kept, so that the same code again sends the same point. */
export class Recoveries {
  readonly #vault: Vault;
  readonly #entries = new Map<string, Entry>();

  constructor(vault: Vault) {
    this.#vault = vault;
  }

  /** Calls with the same code at the same time are one recovery. */
  async recover(input: RecoverInput): Promise<RecoveryResult> {
    const { code } = input;
    const recordId = parseRecordId(input.recordId);
    checkCode(code);
    const entry = this.#entryFor(recordId, code);
    entry.running ??= this.#run(entry.recovery, input).finally(() => {
      entry.running = undefined;
      if (entry.recovery.isOver && this.#entries.get(recordId) === entry) this.#entries.delete(recordId);
    });
    return entry.running;
  }

  #entryFor(recordId: string, code: string): Entry {
    const known = this.#entries.get(recordId);
    if (known?.recovery.isFor(code)) return known;
    const entry: Entry = { recovery: new Recovery(this.#vault, recordId, code), running: undefined };
    this.#entries.set(recordId, entry);
    return entry;
  }

  async #run(recovery: Recovery, input: RecoverInput): Promise<RecoveryResult> {
    const { made } = this.#vault;
    const { progress = () => {} } = input;
    const recovered = await recovery.run(progress);
    const { backupKey, attempt, enrolledAt } = recovered;
    const { g, policy } = attempt.body;
    const renewal = await this.#renew(recovered, input, progress);
    recovered.input.wipe();
    attempt.s.wipe();
    const attemptsElsewhere = made.elsewhere(g, attempt.attempt);
    return { backupKey, attempt: attempt.attempt, limit: policy.limit, attemptsElsewhere, enrolledAt, renewal };
  }

  async #renew({ attempt, backupKey, input, isMoving }: Recovered, options: RecoverInput, progress: Progress): Promise<Renewal> {
    if (options.renew === false) return { state: 'skipped' };
    const { g, policy, shares } = attempt.body;
    progress('renewing');
    const plan = {
      recordId: options.recordId,
      input,
      backupKey,
      replaces: backupKey,
      policy: { limit: policy.limit, coolDownMs: Number(policy.coolDownMs) },
      current: isMoving ? undefined : ({ state: 'live', g, holders: shares.map(({ index }) => index) } as const),
      moved: isMoving ? g : undefined,
      allowFewerHolders: options.allowFewerHolders ?? false,
      holdersLeast: options.holdersLeast,
      rehearsal: options.rehearsal ?? false,
    };
    return renew(this.#vault, plan, progress);
  }
}
