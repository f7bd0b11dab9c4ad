import pLimit from 'p-limit';
import type { Millis } from '../../primitives/brand.ts';
import { settle } from '../vault/settle.ts';
import { forgetEverywhere } from './erase.ts';
import type { Fleet } from './fleet.ts';
import { reconciling } from './reconcile.ts';

const PAGE = 100;
const AT_ONCE = 8;

/**
 * Erases exhausted records once their grace is over, and settles what this replica missed while it was away.
 * Every replica sweeps; transactions make that harmless, so nobody need lead.
 */
export class Housekeeping {
  readonly #fleet: Fleet;
  readonly #grace: Millis;
  readonly #interval: Millis;
  /** Everything was settled once since the start: from then on only exhausted records can have been erased behind our back. */
  #isSettled = false;
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

  async stop(): Promise<void> {
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
        if (since + this.#grace > vault.clock.now()) continue;
        if (!(await vault.register.eraseIfDue(rid, this.#grace))) continue;
        events.erased(rid, 'exhausted');
        await forgetEverywhere(this.#fleet, rid);
      }
    } while (page.length === PAGE);
    await this.#settle();
  }

  /** All records at first, however many tries that takes; then the exhausted ones. One that fails does not hold up the others. */
  async #settle(): Promise<void> {
    const { vault } = this.#fleet;
    const limit = pLimit(AT_ONCE);
    const failures: unknown[] = [];
    const settleOne = (rid: Uint8Array) =>
      reconciling(this.#fleet, rid, () => settle(vault, rid)).catch((error: unknown) => void failures.push(error));
    let page: Promise<void>[] = [];
    for await (const rid of vault.guard.rids(this.#isSettled)) {
      page.push(limit(() => settleOne(rid)));
      if (page.length < PAGE) continue;
      await Promise.all(page);
      page = [];
    }
    await Promise.all(page);
    if (failures.length > 0) throw failures[0];
    this.#isSettled = true;
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
