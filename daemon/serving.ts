import type { HealthImplementation } from 'grpc-health-check';
import type { Millis } from '../primitives/brand.ts';
import type { Clock } from '../primitives/clock.ts';
import { isVaultError, type VaultError } from '../primitives/errors.ts';
import { guardFault } from '../protocol/guard-fault.ts';
import { allStoreFaults, healthServiceOf, storeFaults } from '../protocol/store-fault.ts';
import { allTokenFaults, healthServiceOfToken, type TokenFault, tokenFaults } from '../protocol/token-fault.ts';
import type { GuardStore } from './ledger/guard-store.ts';
import type { StoreWatch } from './replica/store-watch.ts';
import type { Events } from './telemetry/events.ts';
import type { Tenure } from './tenure.ts';
import type { OpenToken } from './token/open-token.ts';

/** With the token's patience below a second: so long it may take until NOT_SERVING is said. */
const INTERVAL: Millis = 300;
/** A token that takes longer for a MAC and 32 bytes, before all that others ask of it, does not serve. */
const TOKEN_PATIENCE: Millis = 500;
/** The same of a guard for 32 bytes: a disk may be busy. */
const GUARD_PATIENCE: Millis = 1500;

interface Parts {
  readonly health: HealthImplementation;
  readonly events: Events;
  readonly clock: Clock;
  readonly store: Pick<StoreWatch, 'fault'>;
  readonly token: Pick<OpenToken, 'fault' | 'onChange'>;
  readonly guard: Pick<GuardStore, 'readBootRecord'>;
  readonly tenure: Pick<Tenure, 'expectOurs'>;
  /** Told once, when another daemon serves with this token. */
  readonly onLost: (error: VaultError) => void;
}

/**
 * Says in gRPC health whether this replica can serve: its token answers, is not used by another daemon, its guard can be read, and etcd
 * takes attempts. For each cause why not there is a service of its own (token.absent, etcd.no_quorum). Calls are refused by what fails,
 * not by this.
 */
export class Serving {
  readonly #parts: Parts;
  #said: string | undefined;
  #isStopped = false;
  #timer: NodeJS.Timeout | undefined;
  #asked: Promise<TokenFault | undefined> | undefined;
  #askedGuard: Promise<boolean> | undefined;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  start(): void {
    void this.#look();
    this.#timer = setInterval(() => void this.#look(), INTERVAL);
    this.#parts.token.onChange(() => void this.#look()); // a loss, or its end, is known before the interval is over
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#set(false, 'stopping');
    this.#isStopped = true;
  }

  async #look(): Promise<void> {
    if (this.#isStopped) return;
    const { health, events, store, onLost } = this.#parts;
    const storeFault = store.fault();
    this.#setEach(allStoreFaults.map(healthServiceOf), storeFault && healthServiceOf(storeFault));
    events.storeFault(storeFault);
    const answer = this.#askGuard();
    let tokenFault: TokenFault | undefined;
    try {
      tokenFault = await this.#askToken();
    } catch (error) {
      if (this.#isStopped) return;
      this.stop();
      return onLost(error as VaultError);
    }
    if (this.#isStopped) return;
    this.#setEach(allTokenFaults.map(healthServiceOfToken), tokenFault && healthServiceOfToken(tokenFault));
    events.tokenFault(tokenFault);
    if (tokenFault) this.#set(false, `${tokenFault}: ${tokenFaults[tokenFault]}`); // before the guard is waited for
    const guardAnswers = await answer;
    if (this.#isStopped) return;
    health.setStatus(guardFault.service, guardAnswers ? 'SERVING' : 'NOT_SERVING');
    events.guardFault(!guardAnswers);
    if (tokenFault) return;
    if (!guardAnswers) return this.#set(false, guardFault.meaning);
    if (storeFault) return this.#set(false, `${storeFault}: ${storeFaults[storeFault]}`);
    this.#set(true, 'token, guard and etcd answer');
  }

  /** Reading it opens it again where a write has failed. */
  #askGuard(): Promise<boolean> {
    const { guard, clock } = this.#parts;
    this.#askedGuard ??= guard
      .readBootRecord()
      .then(
        () => true,
        () => false,
      )
      .finally(() => {
        this.#askedGuard = undefined;
      });
    return Promise.race([this.#askedGuard, clock.sleep(GUARD_PATIENCE).then(() => false)]);
  }

  /** Throws GUARD_MISMATCH if another daemon serves with it. */
  async #askToken(): Promise<TokenFault | undefined> {
    const { token, tenure, clock } = this.#parts;
    // One question at a time: those to a token that is silent must not pile up.
    this.#asked ??= tenure
      .expectOurs()
      .then(
        () => undefined,
        (error: unknown) => {
          if (isVaultError(error, 'GUARD_MISMATCH')) throw error;
          return token.fault() ?? 'silent'; // a fault that it told would be known
        },
      )
      .finally(() => {
        this.#asked = undefined;
      });
    return Promise.race([this.#asked, clock.sleep(TOKEN_PATIENCE).then(() => 'silent' as const)]);
  }

  #setEach(services: readonly string[], failing: string | undefined): void {
    for (const service of services) this.#parts.health.setStatus(service, service === failing ? 'NOT_SERVING' : 'SERVING');
  }

  /** Once for each change, also from one cause to another. */
  #set(serving: boolean, why: string): void {
    if (why === this.#said || this.#isStopped) return;
    this.#said = why;
    this.#parts.health.setStatus('', serving ? 'SERVING' : 'NOT_SERVING');
    this.#parts.events.serving(serving, why);
  }
}
