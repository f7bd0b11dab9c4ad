import pLimit from 'p-limit';
import type { Millis } from '../../primitives/brand.ts';
import { settle } from '../vault/settle.ts';
import { forgetEverywhere } from './erase.ts';
import type { Fleet } from './fleet.ts';
import { reconciling } from './reconcile.ts';

const PAGE = 100;
const AT_ONCE = 8;
const PAGES_A_SWEEP = 50; // of the round through all records: 50 reads a minute, a million records in 200 minutes

/**
 * Erases exhausted records once their grace is over, and settles what this replica missed while it was away, or while it could not be
 * told: a coordinator may die, or be cut off, between an erasure and its Forget.
 * Every replica sweeps; transactions make that harmless, so nobody need lead.
 */
export class Housekeeping {
  readonly #fleet: Fleet;
  readonly #grace: Millis;
  readonly #interval: Millis;
  /** Every record was settled once since the start. */
  #isSettled = false;
  /** Where the round through all records of etcd is; undefined at its beginning. */
  #roundAt: Uint8Array | undefined;
  #isStopped = false;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> = Promise.resolve();

  constructor(fleet: Fleet, options: { readonly grace: Millis; readonly interval: Millis }) {
    this.#fleet = fleet;
    this.#grace = options.grace;
    this.#interval = options.interval;
  }

  start(): void {
    this.#running = this.#attempt(() => this.#settle());
    this.#timer = setInterval(() => {
      this.#running = this.#running.then(() => this.#attempt(() => this.sweep()));
    }, this.#interval);
    this.#timer.unref();
  }

  /** Returns once the calls under way are done; what is left of a sweep waits for the next start. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    clearInterval(this.#timer);
    await this.#running;
  }

  /** Erases what is due, then settles. */
  async sweep(): Promise<void> {
    const { vault, events } = this.#fleet;
    let page: { rid: Uint8Array; since: Millis }[];
    let after: Uint8Array | undefined;
    do {
      page = await vault.register.exhausted(PAGE, after);
      after = page.at(-1)?.rid;
      for (const { rid, since } of page) {
        if (this.#isStopped) return;
        if (since + this.#grace > vault.clock.now()) continue;
        if (!(await vault.register.eraseIfDue(rid, this.#grace))) continue;
        events.erased(rid, 'exhausted');
        await forgetEverywhere(this.#fleet, rid);
      }
    } while (page.length === PAGE);
    await this.#settle();
  }

  /** All records at first, however many tries that takes. Then the exhausted ones at each sweep, and some of the others. */
  async #settle(): Promise<void> {
    const { vault, events } = this.#fleet;
    const failures: unknown[] = [];
    const rids = vault.guard.rids(this.#isSettled)[Symbol.asyncIterator]();
    for (let page = await take(rids); page.length > 0 && !this.#isStopped; page = await take(rids)) await this.#settleAll(page, failures);
    if (this.#isSettled) await this.#settleErased(failures);
    if (failures.length > 0) throw failures[0];
    if (this.#isStopped || this.#isSettled) return;
    this.#isSettled = true;
    events.settled();
  }

  /** The next pages of the round: what etcd shows erased, and this guard still holds. */
  async #settleErased(failures: unknown[]): Promise<void> {
    const { register, guard } = this.#fleet.vault;
    for (let i = 0; i < PAGES_A_SWEEP && !this.#isStopped; i++) {
      const { erased, last } = await register.erased(PAGE, this.#roundAt);
      this.#roundAt = last;
      const held: Uint8Array[] = [];
      for (const rid of erased) if ((await guard.read(rid)).live) held.push(rid);
      await this.#settleAll(held, failures);
      if (!last) return;
    }
  }

  /** One that fails does not hold up the others. */
  async #settleAll(rids: readonly Uint8Array[], failures: unknown[]): Promise<void> {
    const limit = pLimit(AT_ONCE);
    const settleOne = async (rid: Uint8Array) => {
      if (this.#isStopped) return;
      await reconciling(this.#fleet, rid, () => settle(this.#fleet.vault, rid)).catch((error: unknown) => void failures.push(error));
    };
    await Promise.all(rids.map((rid) => limit(() => settleOne(rid))));
  }

  /** A sweep that fails is made again at the next interval. */
  async #attempt(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#fleet.events.sweepFailed(error);
    }
  }
}

async function take(rids: AsyncIterator<Uint8Array>): Promise<Uint8Array[]> {
  const page: Uint8Array[] = [];
  while (page.length < PAGE) {
    const { value, done } = await rids.next();
    if (done) break;
    page.push(value);
  }
  return page;
}
