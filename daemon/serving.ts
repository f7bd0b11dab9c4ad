import type { HealthImplementation } from 'grpc-health-check';
import type { Millis } from '../primitives/brand.ts';
import type { Clock } from '../primitives/clock.ts';
import { isVaultError, type VaultError } from '../primitives/errors.ts';
import type { Membership } from './replica/membership.ts';
import type { Events } from './telemetry/events.ts';
import type { Tenure } from './tenure.ts';

const INTERVAL: Millis = 500;
const ETCD_PATIENCE: Millis = 3000; // an election of etcd's takes less

interface Parts {
  readonly health: HealthImplementation;
  readonly events: Events;
  readonly clock: Clock;
  readonly membership: Membership;
  readonly tenure: Tenure;
  /** Told once, when another daemon serves with this token. */
  readonly onLost: (error: VaultError) => void;
}

/** Says in gRPC health whether this replica can serve: its token answers, is not used by another daemon, and etcd answers. Calls are refused by what fails, not by this. */
export class Serving {
  readonly #parts: Parts;
  #serving: boolean | undefined;
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
    const { membership, tenure, onLost } = this.#parts;
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
    const silence = membership.etcdSilentFor();
    if (silence > ETCD_PATIENCE) return this.#set(false, `etcd has not answered for ${Math.round(silence / 1000)} s`);
    this.#set(true, 'token and etcd answer');
  }

  #set(serving: boolean, why: string): void {
    if (serving === this.#serving || this.#isStopped) return;
    this.#serving = serving;
    this.#parts.health.setStatus('', serving ? 'SERVING' : 'NOT_SERVING');
    this.#parts.events.serving(serving, why);
  }
}
