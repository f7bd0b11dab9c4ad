import type { HealthImplementation } from 'grpc-health-check';
import type { Millis } from '../primitives/brand.ts';
import type { Clock } from '../primitives/clock.ts';
import { isVaultError, type VaultError } from '../primitives/errors.ts';
import { allStoreFaults, healthServiceOf, type StoreFault, storeFaults } from '../protocol/store-fault.ts';
import type { StoreWatch } from './replica/store-watch.ts';
import type { Events } from './telemetry/events.ts';
import type { Tenure } from './tenure.ts';

const INTERVAL: Millis = 500;

interface Parts {
  readonly health: HealthImplementation;
  readonly events: Events;
  readonly clock: Clock;
  readonly store: StoreWatch;
  readonly tenure: Tenure;
  /** Told once, when another daemon serves with this token. */
  readonly onLost: (error: VaultError) => void;
}

/**
 * Says in gRPC health whether this replica can serve: its token answers, is not used by another daemon, and etcd takes attempts. For
 * each cause why etcd might not there is a service of its own (etcd.no_quorum). Calls are refused by what fails, not by this.
 */
export class Serving {
  readonly #parts: Parts;
  #said: string | undefined;
  #isStopped = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  start(): void {
    void this.#look();
    this.#timer = setInterval(() => void this.#look(), INTERVAL);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#set(false, 'stopping');
    this.#isStopped = true;
  }

  async #look(): Promise<void> {
    const { store, tenure, onLost } = this.#parts;
    const fault = store.fault();
    this.#setStore(fault);
    try {
      await tenure.expectOurs();
    } catch (error) {
      if (this.#isStopped) return;
      if (isVaultError(error, 'GUARD_MISMATCH')) {
        this.stop();
        return onLost(error);
      }
      return this.#set(false, 'the token does not answer');
    }
    if (fault) return this.#set(false, `${fault}: ${storeFaults[fault]}`);
    this.#set(true, 'token and etcd answer');
  }

  #setStore(fault: StoreFault | undefined): void {
    if (this.#isStopped) return;
    const { health, events } = this.#parts;
    for (const each of allStoreFaults) health.setStatus(healthServiceOf(each), each === fault ? 'NOT_SERVING' : 'SERVING');
    events.storeFault(fault);
  }

  /** Once for each change, also from one cause to another. */
  #set(serving: boolean, why: string): void {
    if (why === this.#said || this.#isStopped) return;
    this.#said = why;
    this.#parts.health.setStatus('', serving ? 'SERVING' : 'NOT_SERVING');
    this.#parts.events.serving(serving, why);
  }
}
