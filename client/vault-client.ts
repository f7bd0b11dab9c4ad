import { type Clock, systemClock } from '../primitives/clock.ts';
import type { SecretBytes } from '../primitives/secret-bytes.ts';
import { parseRecordId } from '../protocol/record-id.ts';
import { type BlindStore, Blinds, memoryBlindStore } from './blinds.ts';
import { type Decided, decideHold, type HoldDecision } from './decide-hold.ts';
import { type DrainingFleet, eraseEverywhere, trustReplaced } from './draining.ts';
import { type EnrolInput, prepareEnrolment } from './enrol.ts';
import type { Enrolment, EnrolmentResult } from './enrolment.ts';
import { type ErasureResult, eraseGeneration } from './erase.ts';
import { Fleet } from './fleet.ts';
import { type Beside, expectOwnersKey, type ListInput, readBeside, writeList } from './list.ts';
import { type Description, locate, type Side } from './locate.ts';
import { MadeAttempts } from './made-attempts.ts';
import { type RecoverInput, Recoveries, type RecoveryResult } from './recover.ts';
import { type RehearsalInput, rehearse } from './rehearsal.ts';
import { type Argon2id, wasmArgon2id } from './stretch.ts';
import { type VaultTransport, withTypedErrors } from './transport.ts';
import { type Trust, trustIn, trustInDraining } from './trust.ts';
import type { TrustPolicy } from './trust-policy.ts';
import type { ReceiptListener, Vault } from './vault.ts';

export interface VaultClientOptions {
  readonly transport: VaultTransport;
  readonly policy: TrustPolicy;
  readonly fleet: string;
  /** As the frontend's certificate names it: part of every record's name. */
  readonly tenant: string;
  readonly clock?: Clock;
  readonly argon2id?: Argon2id;
  /** For an app that keeps receipts, as evidence of how many attempts were counted. */
  readonly onReceipts?: ReceiptListener;
  /** Where blinds outlive the process. In memory alone unless told. */
  readonly blinds?: BlindStore;
  /** The fleet that this one replaces: its records move over as they are recovered or enrolled again. */
  readonly draining?: DrainingFleet;
}

/** The vault, as an app sees it. What is thrown are VaultErrors; each code says what to do next. */
export class VaultClient {
  readonly #vault: Vault;
  readonly #recoveries: Recoveries;

  constructor({
    transport,
    policy,
    fleet,
    tenant,
    clock = systemClock,
    argon2id = wasmArgon2id,
    onReceipts = () => {},
    blinds = memoryBlindStore(),
    draining,
  }: VaultClientOptions) {
    const common = { tenant, argon2id, made: new MadeAttempts(), blinds: new Blinds(blinds), clock, onReceipts };
    const vaultAt = (to: VaultTransport, trust: Trust): Vault => {
      const typed = withTypedErrors(to);
      return { ...common, transport: typed, fleet: new Fleet(fleet, trust, typed, clock), draining: undefined };
    };
    const served = vaultAt(transport, trustIn(policy));
    const old = draining && vaultAt(draining.transport, trustReplaced(trustInDraining(policy, draining.epochLeast), served.fleet));
    this.#vault = { ...served, draining: old };
    this.#recoveries = new Recoveries(this.#vault);
  }

  /**
   * State of the record that `recover` would try, or of that of one fleet: while one replaces another, both may have one, and `rival` tells.
   * Costs nothing. Throws RECORD_UNKNOWN.
   */
  async describe(recordId: string, from?: Side): Promise<Description> {
    return (await locate(this.#vault, parseRecordId(recordId), from)).current;
  }

  /**
   * Puts a backup key into the vault under a new code, and replaces what is there if that was enrolled with the same backup key. Of a
   * record that only the draining fleet has, this is the way to the new one for a device that holds the backup key; `drained` tells.
   * Throws CODE_REJECTED (nothing was sent), NOT_ENOUGH_REPLICAS (fewer holders than now, or than the app asks for: nothing was stored),
   * OWNER_REFUSED (another backup key: recover or erase first), OUTCOME_UNKNOWN (it may be called again), GENERATION_CONFLICT (another
   * device was faster), FLEET_UNTRUSTED, REPLY_UNTRUSTED.
   */
  async enroll(input: EnrolInput): Promise<EnrolmentResult> {
    const enrolment = await this.beginEnrolment(input);
    input.progress?.('storing');
    return enrolment.finish();
  }

  /** The first half of `enroll`, for an app that calls `finish` until it succeeds. Nothing is stored before that. */
  beginEnrolment(input: EnrolInput): Promise<Enrolment> {
    return prepareEnrolment(this.#vault, input);
  }

  /**
   * Spends an attempt and gives the backup key back. After an error that leaves open whether the code was right, the same code
   * again continues and spends nothing. Throws CODE_REJECTED (nothing was sent), WRONG_CODE (details: attempts), COOLING_DOWN
   * (details: notBefore), RECORD_UNKNOWN, EXHAUSTED, ERASED, FLEET_UNTRUSTED, REPLY_UNTRUSTED, and what `insist` gives up on. Where the
   * details have a `rival`, the other one of two fleets has a record, too, or may have: the same code may be tried there, by `from`.
   */
  recover(input: RecoverInput): Promise<RecoveryResult> {
    return this.#recoveries.recover(input);
  }

  /** Whether the code may be the one that was enrolled, by what `enroll` returned: asks nobody and spends nothing. A wrong code passes once in
   * 1024. Throws CODE_REJECTED, MALFORMED. */
  rehearse(input: RehearsalInput): boolean {
    return rehearse(this.#vault, input);
  }

  /**
   * What the owner keeps beside the record, for whoever is signed in: other doors to the same key, each locked by itself; and the record's owner key, which t holders signed.
   * Where the backup key is given, it must be that one's. Throws RECORD_UNKNOWN, NOT_ENOUGH_REPLICAS, OWNER_REFUSED.
   */
  async list(recordId: string, backupKey?: SecretBytes, from?: Side): Promise<Beside> {
    const { vault } = await locate(this.#vault, parseRecordId(recordId), from);
    const beside = await readBeside(vault, recordId);
    if (backupKey) expectOwnersKey(vault, recordId, beside, backupKey);
    return beside;
  }

  /**
   * Puts a list in the place of the one that was read, with the next counter. It stays where the code is changed, and goes with an erasure or another backup key. Returns who keeps it.
   * Throws LIST_OUTDATED, OWNER_REFUSED, MALFORMED, NOT_ENOUGH_REPLICAS.
   */
  async putList(input: ListInput, from?: Side): Promise<readonly number[]> {
    const { vault } = await locate(this.#vault, parseRecordId(input.recordId), from);
    return writeList(vault, input);
  }

  /**
   * The user's word about an attempt that is held, as `describe` told of it, with the backup key that this device has: it is not theirs. Then nobody gets the backup key by it, once
   * enough replicas keep to that (`isFinal`). An attempt that was released already cannot be called back: replace the code. Throws OWNER_REFUSED, GENERATION_UNKNOWN.
   */
  veto(decision: HoldDecision): Promise<Decided> {
    return decideHold(this.#vault, { ...decision, recordId: parseRecordId(decision.recordId) }, true);
  }

  /**
   * The same: it is theirs, and need not wait. Have the user compare the fingerprint with that of the device that recovers, first: what is told is nobody's signed word. For the proof with this base alone; where `describe` has two of one point, one of them is somebody else's: veto it, and begin anew.
   * Throws VETOED and PROOF_CONFLICT, too.
   */
  approve(decision: HoldDecision): Promise<Decided> {
    return decideHold(this.#vault, { ...decision, recordId: parseRecordId(decision.recordId) }, false);
  }

  /**
   * Erases the record for good: while one fleet replaces another, in both, or in the one that is named, as where somebody else's record
   * stands in the way. Replicas that are away do so when they are back; called again, it brings their signatures too. Throws RECORD_UNKNOWN.
   */
  async erase(recordId: string, from?: Side): Promise<ErasureResult> {
    const parsed = parseRecordId(recordId);
    if (from === undefined) return eraseEverywhere(this.#vault, parsed);
    const { vault, current } = await locate(this.#vault, parsed, from);
    return eraseGeneration(vault, parsed, current.g);
  }

  /**
   * The same for one generation, by its name `g`, and no other one, in this fleet. Of one that was erased before it brings the signatures of replicas that
   * were away, also when the record was enrolled again since. Throws GENERATION_UNKNOWN.
   */
  async eraseGeneration(recordId: string, g: Uint8Array): Promise<ErasureResult> {
    return eraseGeneration(this.#vault, parseRecordId(recordId), g);
  }
}
