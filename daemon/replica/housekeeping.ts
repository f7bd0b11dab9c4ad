import pLimit from 'p-limit';
import type { Millis } from '../../primitives/brand.ts';
import { forgetErased } from '../vault/forget.ts';
import { forgetEverywhere } from './erase.ts';
import type { Fleet } from './fleet.ts';
import { reconciling } from './reconcile.ts';

const PAGE = 100;
const AT_ONCE = 8;

/**
 * Erases exhausted records once their grace is over, and drops from this replica's guard what was erased while it was away.
 * Every replica sweeps; transactions make that harmless, so nobody need lead.
 */
export class Housekeeping {
  readonly #fleet: Fleet;
  readonly #grace: Millis;
  readonly #interval: Millis;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> = Promise.resolve();

  constructor(fleet: Fleet, options: { readonly grace: Millis; readonly interval: Millis }) {
    this.#fleet = fleet;
    this.#grace = options.grace;
    this.#interval = options.interval;
  }

  start(): void {
    this.#running = this.#attempt(() => this.#dropErased(false)); // all there is, once: what was missed while this replica was down
    this.#timer = setInterval(() => {
      this.#running = this.#running.then(() => this.#attempt(() => this.sweep()));
    }, this.#interval);
    this.#timer.unref();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#running;
  }

  /** Erases what is due, then drops from the guard those exhausted records that another replica erased. */
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
    await this.#dropErased(true);
  }

  async #dropErased(full: boolean): Promise<void> {
    const { vault } = this.#fleet;
    const limit = pLimit(AT_ONCE);
    const drops: Promise<boolean>[] = [];
    for await (const rid of vault.guard.rids(full)) {
      drops.push(limit(() => reconciling(this.#fleet, rid, () => forgetErased(vault, rid))));
      if (limit.pendingCount > PAGE) await Promise.all(drops.splice(0));
    }
    await Promise.all(drops);
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
