import type { Millis } from '../../primitives/brand.ts';
import type { Clock } from '../../primitives/clock.ts';
import type { Etcd, Lease } from '../ledger/etcd.ts';
import type { Events } from '../telemetry/events.ts';
import { Rounds } from './rounds.ts';

const TTL_SECONDS = 5;
const REFRESH: Millis = 1000;

/**
 * Tells the others that this replica is here, by a key under a lease, and learns who else is. A hint for whom it is worth to wait,
 * and what status shows: who is a replica stands in the statement, and no promise rests on a lease.
 */
export class Membership extends Rounds {
  readonly #etcd: Etcd;
  readonly #events: Events;
  readonly #index: number;
  readonly #about: Uint8Array;
  #lease: Lease | undefined;
  #present: ReadonlySet<number> = new Set();
  #isFailing = false;

  constructor(etcd: Etcd, options: { readonly index: number; readonly about: object; readonly clock: Clock; readonly events: Events }) {
    super(options.clock, () => this.#look());
    this.#etcd = etcd;
    this.#events = options.events;
    this.#index = options.index;
    this.#about = Buffer.from(JSON.stringify(options.about));
  }

  /** Replicas whose lease etcd holds. */
  present(): ReadonlySet<number> {
    return this.#present;
  }

  override async stop(): Promise<void> {
    await super.stop();
    await this.#lease?.revoke().catch(() => {}); // it would run out anyway
  }

  async #look(): Promise<Millis> {
    try {
      await this.#announce();
      const members = await this.#etcd.list('m/', 64);
      this.#present = new Set(members.map(({ key }) => Number(key.slice(2))));
      this.#isFailing = false;
    } catch (error) {
      this.#present = new Set();
      if (!this.#isFailing) this.#events.membershipFailed(error); // once for each outage
      this.#isFailing = true;
    }
    return REFRESH;
  }

  async #announce(): Promise<void> {
    if (this.#lease) return;
    const lease = this.#etcd.lease(TTL_SECONDS);
    lease.on('lost', () => {
      if (this.#lease === lease) this.#lease = undefined; // announced anew at the next turn
    });
    try {
      await this.#etcd.putUnderLease(lease, `m/${this.#index}`, this.#about);
      this.#lease = lease;
    } catch (error) {
      lease.release();
      throw error;
    }
  }
}
