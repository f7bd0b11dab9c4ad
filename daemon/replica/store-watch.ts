import type { Millis } from '../../primitives/brand.ts';
import type { Clock } from '../../primitives/clock.ts';
import type { StoreFault } from '../../protocol/store-fault.ts';
import type { Etcd } from '../ledger/etcd.ts';
import { faultOf, faultOfMembers, refusals } from '../ledger/etcd-fault.ts';
import { Rounds } from './rounds.ts';

const INTERVAL: Millis = 1000;
const AFTER_FAILURE: Millis = 200; // one stopped member of three must not look like the loss of a majority
const PATIENCE: Millis = 3000; // an election of etcd's takes less

/** Learns each second whether etcd takes attempts, and why not, by a rehearsal of one. Why this is not a watch: docs/adr/0013. */
export class StoreWatch extends Rounds {
  readonly #etcd: Pick<Etcd, 'rehearse' | 'members'>;
  readonly #clock: Clock;
  #lastTaken: Millis;
  /** What the last rehearsal met; undefined where it succeeded. */
  #fault: StoreFault | undefined;

  constructor(etcd: Pick<Etcd, 'rehearse' | 'members'>, clock: Clock) {
    super(clock, () => this.#look());
    this.#etcd = etcd;
    this.#clock = clock;
    this.#lastTaken = clock.monotonic();
  }

  /** What etcd says of itself counts at once; silence only when it lasts longer than an election. */
  fault(): StoreFault | undefined {
    if (this.#fault && refusals.has(this.#fault)) return this.#fault;
    const isSilent = this.#clock.monotonic() - this.#lastTaken > PATIENCE;
    return isSilent ? (this.#fault ?? 'slow') : undefined;
  }

  async #look(): Promise<Millis> {
    const members = this.#fault && this.#etcd.members(); // asked beside the next try, which they do not hold up
    try {
      await this.#etcd.rehearse();
      this.#lastTaken = this.#clock.monotonic();
      this.#fault = undefined;
    } catch (error) {
      this.#fault = faultOf(error) ?? (members ? faultOfMembers(await members) : 'slow');
    }
    return this.#fault ? AFTER_FAILURE : INTERVAL;
  }
}
