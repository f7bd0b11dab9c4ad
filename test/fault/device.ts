import { createECDH } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { create } from '@bufbuild/protobuf';
import type { RecoverInput, RecoveryResult } from '../../client/recover.ts';
import type { VaultTransport } from '../../client/transport.ts';
import { VaultClient, type VaultClientOptions } from '../../client/vault-client.ts';
import { constantTimeEqual, toHex } from '../../primitives/bytes.ts';
import { type ErrorCode, isVaultError } from '../../primitives/errors.ts';
import {
  type BeginRecoveryRequest,
  BeginRecoveryRequestSchema,
  type FinishEnrollmentRequest,
} from '../../proto/gen/backupvault/v1/vault_pb.ts';
import { quickHash } from '../harness/soft-client.ts';
import type { Account } from './account.ts';
import type { Decided, History, Outcome } from './history.ts';
import { hashOfPoint } from './point-hash.ts';
import type { Prng } from './prng.ts';

export interface DeviceOptions extends Pick<VaultClientOptions, 'fleet' | 'tenant'> {
  readonly policy: () => VaultClientOptions['policy'];
  readonly name: string;
  readonly random: Prng;
  readonly history: History;
  /** Records what passes, and tells the device of it. */
  readonly connect: (device: Device) => VaultTransport;
}

const passing: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'OUTCOME_UNKNOWN',
  'NOT_ENOUGH_REPLICAS',
  'STORE_UNAVAILABLE',
  'RECORD_OUTDATED',
  'TOKEN_UNAVAILABLE',
  'GUARD_FAILING',
  'BUSY',
  'COOLING_DOWN',
  'GRANT_EXPIRED',
]);

/** The outcome is open, or says only that it shall be tried again. */
export const isPassing = (error: unknown): boolean => isVaultError(error) && passing.has(error.code);

const TRIES = 8;

/** A device of some user's: does one thing after the other, by the SDK or by hand where the SDK's cryptography would cost too much. */
export class Device {
  readonly name: string;
  readonly #options: DeviceOptions;
  readonly #transport: VaultTransport;
  #vault: VaultClient;
  #code = '';
  #account: Account | undefined;
  #triedOn: BeginRecoveryRequest | undefined;
  /** By the owner: what was sent for it gets nothing, so it is given up. */
  #isVetoed = false;
  /** What the SDK sent to enrol in what the device does now: begun again once, it is two. */
  #enrolments: FinishEnrollmentRequest[] = [];

  constructor(options: DeviceOptions) {
    this.name = options.name;
    this.#options = options;
    this.#transport = options.connect(this);
    this.#vault = this.#openVault();
  }

  /** As an app does that was updated: it trusts what the policy says now. */
  restart(): void {
    this.#vault = this.#openVault();
  }

  #openVault(): VaultClient {
    const { policy, fleet, tenant } = this.#options;
    return new VaultClient({ transport: this.#transport, policy: policy(), fleet, tenant, argon2id: quickHash });
  }

  /** For the recorder. */
  onEnrolment(request: FinishEnrollmentRequest): void {
    if (this.#account?.recordId !== request.recordId) return;
    this.#account.noteEnrolment(request, this.#code);
    this.#enrolments.push(request);
  }

  /** For the recorder. */
  onGuess(request: BeginRecoveryRequest): void {
    this.#triedOn = request;
  }

  /** A wrong code: a point of no code at all. The vault cannot tell the difference. */
  async guess(account: Account): Promise<void> {
    if (!account.g) return this.look(account);
    const { recordId, g } = account;
    const request = create(BeginRecoveryRequestSchema, { recordId, g, point: randomPoint() });
    account.guesses.push(request);
    await this.sendGuess(account, request);
  }

  /** Until its outcome is known, or patience ends. */
  async sendGuess(account: Account, request: BeginRecoveryRequest): Promise<void> {
    account.openGuesses.add(request);
    const outcome = await this.#attempt(account, () => this.#transport.beginRecovery(request));
    if (outcome === 'known') account.openGuesses.delete(request);
  }

  /** The same bytes as some time before. */
  async guessAgain(account: Account): Promise<void> {
    const { random } = this.#options;
    if (account.guesses.length > 0) await this.sendGuess(account, random.pick(account.guesses));
  }

  async enrolAgain(account: Account): Promise<void> {
    const { random } = this.#options;
    if (account.enrolments.length > 0) await this.sendEnrolment(account, random.pick(account.enrolments));
  }

  async sendEnrolment(account: Account, request: FinishEnrollmentRequest): Promise<void> {
    const outcome = await this.#attempt(account, () => this.#transport.finishEnrollment(request));
    if (outcome === 'known') account.openEnrolments.delete(request);
  }

  /** Under a code of its own; what was there is replaced. */
  async enrol(account: Account, code: string, allowFewerHolders: boolean): Promise<void> {
    const { recordId, backupKey, policy } = account;
    await this.#work(account, code, async () => {
      const enrolment = await this.#vault.beginEnrolment({ recordId, code, backupKey, policy, allowFewerHolders });
      // A user who looks at the code for a while: tickets of replicas that restart meanwhile are worth nothing.
      if (this.#options.random.chance(0.05)) await delay(this.#options.random.integer(2000, 15_000));
      try {
        await enrolment.finish();
        this.#enrolled(account, enrolment.g);
      } catch (error) {
        const last = this.#enrolments.at(-1);
        if (last && !isPassing(error)) account.openEnrolments.delete(last);
        throw error;
      }
    });
  }

  /** The whole way through the SDK. */
  async recover(account: Account, code: string, options: { readonly renew: boolean; readonly allowFewerHolders: boolean }): Promise<void> {
    const { history } = this.#options;
    const at = history.now();
    this.#triedOn = undefined;
    let isOurKey: boolean | undefined;
    let outcome: Outcome = 'ok';
    let message: string | undefined;
    await this.#work(account, code, async () => {
      try {
        const { backupKey, renewal } = await this.#recoverHeld(account, code, options);
        isOurKey = constantTimeEqual(backupKey.expose(), account.backupKey.expose());
        if (renewal.state === 'renewed') this.#enrolled(account, renewal.result.g);
      } catch (error) {
        outcome = isVaultError(error) ? error.code : 'INTERNAL';
        message = error instanceof Error ? error.message : String(error);
        throw error;
      }
    });
    const tried = this.#triedOn as BeginRecoveryRequest | undefined;
    history.add({
      type: 'entry',
      ...{ at, until: history.now(), device: this.name, rid: account.rid, outcome },
      isRight: tried && account.codeOf(tried.g) === code,
      ...(tried && { point: toHex(tried.point) }),
      ...(isOurKey === undefined ? {} : { isOurKey }),
      ...(message === undefined ? {} : { message }),
    });
  }

  /** Where it is held, the owner decides, on whichever device, or waits a little. */
  async #recoverHeld(account: Account, code: string, options: Pick<RecoverInput, 'renew' | 'allowFewerHolders'>): Promise<RecoveryResult> {
    const { random } = this.#options;
    const anew = this.#isVetoed;
    this.#isVetoed = false;
    const recover = (input: Partial<RecoverInput> = {}) => this.#vault.recover({ recordId: account.recordId, code, ...options, ...input });
    try {
      return await recover({ anew });
    } catch (error) {
      if (isVaultError(error, 'VETOED')) this.#isVetoed = true;
      if (!isVaultError(error, 'HELD')) throw error;
      const next = random.weighted({ wait: 3, approve: 3, veto: 2, leave: 2 });
      if (next === 'leave') throw error;
      if (next === 'wait') await delay(Math.min(3000, Math.max(0, (error.details.notBefore ?? 0) - Date.now())));
      else await this.#decide(account, next);
      return await recover().catch((again: unknown) => {
        if (isVaultError(again, 'VETOED')) this.#isVetoed = true;
        throw again;
      });
    }
  }

  /** The owner’s word about the attempt that was sent last, as far as some replica tells of it. */
  async #decide(account: Account, word: Decided['word']): Promise<void> {
    const { history } = this.#options;
    const { rid, recordId, backupKey } = account;
    const tried = this.#triedOn as BeginRecoveryRequest | undefined;
    const h = tried && hashOfPoint(toHex(tried.point));
    const { held } = await this.#vault.describe(recordId);
    const own = held.find(({ pointHash }) => toHex(pointHash) === h);
    if (!own || h === undefined) return;
    const at = history.now();
    const note = (isFinal: boolean) => history.add({ type: 'decided', at, until: history.now(), rid, h, word, isFinal });
    try {
      const { isFinal } = await this.#vault[word]({ recordId, backupKey, held: own });
      note(isFinal !== 'too few');
    } catch (error) {
      note(false);
      throw error;
    }
  }

  /** After everything healed: looks which generation it is, and enters its code. `renew`: and enrols anew, as is usual. */
  async tryRightCode(account: Account, renew: boolean): Promise<{ outcome: Outcome; message?: string }> {
    try {
      const { g } = await this.#vault.describe(account.recordId);
      const code = account.codeOf(g);
      if (code === undefined) return { outcome: 'INTERNAL', message: 'the vault names a generation that nobody made' };
      this.#account = account;
      this.#code = code;
      const recover = () => this.#vault.recover({ recordId: account.recordId, code, renew });
      const { backupKey, renewal } = await recover().catch(async (error: unknown) => {
        if (!isVaultError(error, 'HELD')) throw error;
        await this.#decide(account, 'approve');
        return recover();
      });
      if (renewal.state === 'renewed') this.#enrolled(account, renewal.result.g);
      else if (renew) return { outcome: 'INTERNAL', message: `it is not renewed: ${renewal.state}` };
      const isOurs = constantTimeEqual(backupKey.expose(), account.backupKey.expose());
      return isOurs ? { outcome: 'ok' } : { outcome: 'INTERNAL', message: 'it is another backup key' };
    } catch (error) {
      return { outcome: isVaultError(error) ? error.code : 'INTERNAL', message: error instanceof Error ? error.message : String(error) };
    }
  }

  #enrolled(account: Account, g: Uint8Array): void {
    account.g = g;
    account.isSpent = false;
    const last = this.#enrolments.at(-1);
    if (last) account.openEnrolments.delete(last);
  }

  /** Hears which generation it is. */
  async look(account: Account): Promise<void> {
    await this.#work(account, '', async () => {
      const { state, g } = await this.#vault.describe(account.recordId);
      account.g = g;
      account.isSpent = state !== 'live';
    });
  }

  /** Failures are in the history; here only what follows from them for the device matters. */
  async #work(account: Account, code: string, work: () => Promise<void>): Promise<void> {
    this.#account = account;
    this.#code = code;
    this.#enrolments = [];
    try {
      await work();
    } catch (error) {
      if (isVaultError(error, 'EXHAUSTED')) account.isSpent = true;
      if (isVaultError(error, 'GENERATION_UNKNOWN') || isVaultError(error, 'GENERATION_CONFLICT')) account.g = undefined;
    }
    // Another one was begun only where the tickets of this one had been refused.
    for (const request of this.#enrolments.slice(0, -1)) account.openEnrolments.delete(request);
  }

  async #attempt(account: Account, send: () => Promise<unknown>): Promise<'known' | 'open'> {
    for (let i = 0; i < TRIES; i++)
      try {
        await send();
        return 'known';
      } catch (error) {
        if (isVaultError(error, 'EXHAUSTED')) account.isSpent = true;
        if (isVaultError(error, 'GENERATION_UNKNOWN')) account.g = undefined;
        if (!isPassing(error)) return 'known';
        await delay(this.#options.random.integer(50, 400));
      }
    return 'open';
  }
}

/** Of no code at all. */
export function randomPoint(): Uint8Array {
  const pair = createECDH('prime256v1');
  pair.generateKeys();
  return pair.getPublicKey(null, 'compressed');
}
