import type { Millis } from '../../primitives/brand.ts';
import type { Clock } from '../../primitives/clock.ts';
import type { Etcd } from '../ledger/etcd.ts';
import type { Events } from '../telemetry/events.ts';
import { Rounds } from './rounds.ts';

const INTERVAL: Millis = 10_000;
const FULL = 0.75; // of the quota: what is left is for attempts and erasures

/** Watches how many members etcd has, and how full it is. Out of space it takes neither attempts nor erasures, so new records are refused well before. */
export class Space extends Rounds {
  readonly #etcd: Etcd;
  readonly #quota: number;
  readonly #events: Events;
  #isShort = false;

  /** `quota` in bytes, as etcd's --quota-backend-bytes. */
  constructor(etcd: Etcd, { quota, clock, events }: { readonly quota: number; readonly clock: Clock; readonly events: Events }) {
    super(clock, () => this.#look());
    this.#etcd = etcd;
    this.#quota = quota;
    this.#events = events;
  }

  /** As of the last look. */
  get isShort(): boolean {
    return this.#isShort;
  }

  async #look(): Promise<Millis> {
    try {
      const members = await this.#etcd.members();
      const answering = members.filter((member) => member.answers);
      this.#events.storeMembers(answering.length, members.length);
      const isOutOfSpace = await this.#etcd.isOutOfSpace();
      const bytes = Math.max(0, ...answering.map((member) => member.bytes)); // each defragments alone: the fullest one counts
      this.#isShort = isOutOfSpace || bytes > FULL * this.#quota;
      this.#events.storeUsed(bytes, this.#quota, isOutOfSpace);
    } catch {
      // StoreWatch says why etcd does not answer, ten times as often.
    }
    return INTERVAL;
  }
}
