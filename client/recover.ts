import type { Millis } from '../primitives/brand.ts';
import { constantTimeEqual } from '../primitives/bytes.ts';
import { VaultError } from '../primitives/errors.ts';
import type { SecretBytes } from '../primitives/secret-bytes.ts';
import { parseRecordId } from '../protocol/record-id.ts';
import { checkCode } from './code-check.ts';
import { ownerKey } from './derive.ts';
import { type Rival, rivalOf, type Side } from './locate.ts';
import { type Recovered, Recovery } from './recovery.ts';
import { type Renewal, renew } from './renewal.ts';
import { type Used, usedOf } from './used.ts';
import type { Progress, Vault } from './vault.ts';

export interface RecoverInput {
  readonly recordId: string;
  readonly code: string;
  /**
   * Whose record the code is for, while one fleet replaces another: for an app whose user knows better than what `describe` shows by itself.
   * A code that is tried at one fleet counts there alone.
   */
  readonly from?: Side;
  /**
   * Gives up what was sent before for this record, so that the code costs another attempt. Only where the user agrees to that, and only for a code that got no
   * answer from t coordinators, although enough replicas are there: fewer may say of any code that there is none. To call again without it costs nothing
   * (docs/THREAT-MODEL.md, one replica's host). Or for one that its owner vetoed, or that was proved with another base (VETOED, PROOF_CONFLICT). Never again after HELD: it would begin
   * another hold each time.
   */
  readonly anew?: boolean;
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
  /** The one that gave the backup key. */
  readonly fleet: Side;
  /**
   * Whether the other fleet had a record, and whether it names the owner key that this backup key gives. Where it is `contested`, see that the
   * key opens the backup: then it is the other record that is not the user's. Have the frontend erase that one alone (`VaultClient.erase` with
   * its fleet). A key of the old fleet was enrolled nowhere then: enrol it afterwards.
   */
  readonly rival: Rival;
  /** This was attempt k of `limit`. */
  readonly attempt: number;
  readonly limit: number;
  readonly used: Used;
  /** Attempts among those used that were not made through this client: tell the user, who knows whether they were theirs. */
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
    const { code, from, anew = false } = input;
    const recordId = parseRecordId(input.recordId);
    checkCode(code);
    const name = `${from} ${recordId}`;
    if (anew && this.#entries.get(name)?.running === undefined) this.#entries.delete(name);
    const entry = this.#entryFor(name, () => new Recovery(this.#vault, recordId, code, { from, anew }), code);
    entry.running ??= this.#run(entry.recovery, input).finally(() => {
      entry.running = undefined;
      if (entry.recovery.isOver && this.#entries.get(name) === entry) this.#entries.delete(name);
    });
    return entry.running;
  }

  #entryFor(name: string, begin: () => Recovery, code: string): Entry {
    const known = this.#entries.get(name);
    if (known?.recovery.isFor(code)) return known;
    const entry: Entry = { recovery: begin(), running: undefined };
    this.#entries.set(name, entry);
    return entry;
  }

  async #run(recovery: Recovery, input: RecoverInput): Promise<RecoveryResult> {
    const { made } = this.#vault;
    const { progress = () => {} } = input;
    const recovered = await recovery.run(progress);
    const { backupKey, attempt, enrolledAt, fleet, other } = recovered;
    const { g, policy } = attempt.body;
    try {
      const rival = rivalOf(ownedBy(recovered), other);
      const renewal = await this.#renew({ ...recovered, rival }, input, progress);
      const used = usedOf(attempt);
      const attemptsElsewhere = made.elsewhere(g, used.attempts);
      return { backupKey, fleet, rival, attempt: attempt.attempt, limit: policy.limit, used, attemptsElsewhere, enrolledAt, renewal };
    } finally {
      recovered.input.wipe();
      attempt.s.wipe();
    }
  }

  async #renew(recovered: Recovered & { readonly rival: Rival }, options: RecoverInput, progress: Progress): Promise<Renewal> {
    if (options.renew === false) return { state: 'skipped' };
    const { attempt, backupKey, input, fleet, other, rival } = recovered;
    const { g, number, line, policy, shares } = attempt.body;
    const isMoving = fleet === 'old';
    if (isMoving && rival === 'contested') return { state: 'failed', error: contested() };
    const live = { state: 'live', g, number, line, holders: shares.map(({ index }) => index) } as const;
    const atNew = other === 'unknown' ? undefined : other;
    progress('renewing');
    const plan = {
      recordId: options.recordId,
      input,
      backupKey,
      replaces: backupKey,
      policy: { limit: policy.limit, coolDownMs: Number(policy.coolDownMs), holdMs: Number(policy.holdMs) },
      current: isMoving ? atNew : live,
      moved: isMoving ? g : undefined,
      allowFewerHolders: options.allowFewerHolders ?? false,
      holdersLeast: options.holdersLeast,
      rehearsal: options.rehearsal ?? false,
    };
    return renew(this.#vault, plan, progress);
  }
}

/**
 * The owner key, as the backup key gives it. An owner key is public, and a first enrolment proves nothing of it: whoever copied one may enrol
 * a backup key of his own under it. The body is what t replicas signed for. Throws REPLY_UNTRUSTED.
 */
function ownedBy({ backupKey, attempt: { body } }: Recovered): Uint8Array {
  const { publicKey } = ownerKey(backupKey, body.rid);
  if (constantTimeEqual(body.ownerKey, publicKey)) return publicKey;
  backupKey.wipe();
  throw new VaultError('REPLY_UNTRUSTED', 'The record names another owner than its backup key has: whoever enrolled it is not the owner.');
}

const contested = () =>
  new VaultError(
    'OWNER_REFUSED',
    'The new fleet has a record of another backup key, which is not replaced unasked: have the frontend erase it there, then enrol.',
  );
