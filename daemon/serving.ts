import type { HealthImplementation } from 'grpc-health-check';
import type { Millis } from '../primitives/brand.ts';
import type { Clock } from '../primitives/clock.ts';
import type { Membership } from './replica/membership.ts';
import type { Events } from './telemetry/events.ts';
import type { TokenPort } from './token/port.ts';

const INTERVAL: Millis = 500;
const ETCD_PATIENCE: Millis = 3000; // an election of etcd's takes less

interface Parts {
  readonly health: HealthImplementation;
  readonly events: Events;
  readonly clock: Clock;
  readonly membership: Membership;
  readonly token: TokenPort;
}

/** Says in gRPC health whether this replica can serve: its token answers and so does etcd. Calls are refused by what fails, not by this. */
export class Serving {
  readonly #parts: Parts;
  #serving: boolean | undefined;
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
  }

  async #look(): Promise<void> {
    const { membership, token } = this.#parts;
    const silence = membership.etcdSilentFor();
    if (silence > ETCD_PATIENCE) return this.#set(false, `etcd has not answered for ${Math.round(silence / 1000)} s`);
    try {
      await token.mac(new Uint8Array(32)); // a tag for no transcript: useless to anybody
    } catch {
      return this.#set(false, 'the token does not answer');
    }
    this.#set(true, 'token and etcd answer');
  }

  #set(serving: boolean, why: string): void {
    if (serving === this.#serving) return;
    this.#serving = serving;
    this.#parts.health.setStatus('', serving ? 'SERVING' : 'NOT_SERVING');
    this.#parts.events.serving(serving, why);
  }
}
