import pLimit from 'p-limit';
import type { Millis } from '../../primitives/brand.ts';
import { toHex } from '../../primitives/bytes.ts';
import { isExhausted } from '../ledger/attempts.ts';
import { allOf } from '../ledger/register.ts';
import { settle } from '../vault/settle.ts';
import { wouldSaySpent } from '../vault/spent.ts';
import { Dealing } from './dealing.ts';
import { eraseAsOthersDid, eraseSpent } from './erase.ts';
import type { Fleet } from './fleet.ts';
import { reconciling } from './reconcile.ts';
import { Rounds } from './rounds.ts';

const PAGE = 100;
const AT_ONCE = 8;
const MOST_LEFT = 10_000;
const PAGES_A_SWEEP = 50; // of the round through all records: 50 reads a minute, a million records in 200 minutes

/**
 * Erases exhausted records once their grace is over, and settles what this replica missed while it was away, or while it could not be
 * told: a coordinator may die, or be cut off, between an erasure and its Forget. Shares its seeds among the others.
 * Every replica sweeps; transactions make that harmless, so nobody need lead.
 */
export class Housekeeping extends Rounds {
  readonly #fleet: Fleet;
  /** Every record was tried once since the start. */
  #isSettled = false;
  /** Records that failed then or later, to try again at each sweep. */
  readonly #left = new Map<string, Uint8Array>();
  /** Where the round through all records of etcd is; undefined at its beginning. */
  #roundAt: Uint8Array | undefined;
  #isBegun = false;
  readonly #dealing: Dealing;

  constructor(fleet: Fleet, interval: Millis) {
    super(fleet.vault.clock, async () => {
      const { monotonic } = fleet.vault.clock;
      const began = monotonic();
      await this.#turn();
      return Math.max(0, interval - (monotonic() - began));
    });
    this.#fleet = fleet;
    this.#dealing = new Dealing(fleet);
  }

  /** Settles first, then sweeps. What fails is made again at the next turn. */
  async #turn(): Promise<void> {
    const isFirst = !this.#isBegun;
    this.#isBegun = true;
    try {
      await (isFirst ? this.#settle([]) : this.sweep());
    } catch (error) {
      this.#fleet.events.sweepFailed(error);
    }
    await this.#deal();
  }

  async #deal(): Promise<void> {
    const { events } = this.#fleet;
    try {
      events.undealt(await this.#dealing.round(() => this.isStopped));
    } catch (error) {
      events.sweepFailed(error);
    }
  }

  /** Erases what is due, then settles. */
  async sweep(): Promise<void> {
    const { register } = this.#fleet.vault;
    const failures: unknown[] = [];
    const exhausted = (limit: number, after?: Uint8Array) => register.exhausted(limit, after);
    for await (const { rid, since } of allOf(exhausted, (each) => each.rid)) {
      if (this.isStopped) return;
      await this.#eraseIfDue(rid, since).catch((error: unknown) => void failures.push(error));
    }
    await this.#settle(failures);
  }

  /** The time in etcd only says when the others may be asked: they go by their own. */
  async #eraseIfDue(rid: Uint8Array, since: Millis): Promise<void> {
    const { vault } = this.#fleet;
    const attempts = await reconciling(this.#fleet, rid, () => vault.register.read(rid));
    if (!attempts || !isExhausted(attempts)) return;
    const mayBeDue = since + vault.eraseGrace <= vault.clock.now();
    if (mayBeDue || (await wouldSaySpent(vault, rid, attempts.g))) await eraseSpent(this.#fleet, rid, attempts);
  }

  /**
   * What the guard’s files must not hold any more. Then all records, at first; later, at each sweep, those that failed, the exhausted ones,
   * and some of the others.
   */
  async #settle(failures: unknown[]): Promise<void> {
    const { vault, events } = this.#fleet;
    await vault.guard.purge().catch((error: unknown) => void failures.push(error));
    await this.#settleAll([...this.#left.values()], failures);
    let page: Uint8Array[] = [];
    for await (const rid of this.#isSettled ? vault.guard.full() : vault.guard.rids()) {
      if (this.isStopped) return;
      page.push(rid);
      if (page.length < PAGE) continue;
      await this.#settleAll(page, failures);
      page = [];
    }
    await this.#settleAll(page, failures);
    if (this.#isSettled) await this.#settleErased(failures);
    else if (this.#left.size > MOST_LEFT)
      this.#left.clear(); // all of them once more: it was not the records that failed
    else if (!this.isStopped) {
      this.#isSettled = true;
      events.settled(this.#left.size);
    }
    if (failures.length > 0) throw failures[0];
  }

  /** The next pages of the round: what etcd shows erased, and this guard still holds. */
  async #settleErased(failures: unknown[]): Promise<void> {
    const { register, guard } = this.#fleet.vault;
    for (let i = 0; i < PAGES_A_SWEEP && !this.isStopped; i++) {
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
      if (this.isStopped) return;
      try {
        const tombstone = await reconciling(this.#fleet, rid, () => settle(this.#fleet.vault, rid));
        if (tombstone.state === 'unshown') await eraseAsOthersDid(this.#fleet, rid, tombstone.held);
        this.#left.delete(toHex(rid));
      } catch (error) {
        this.#left.set(toHex(rid), rid);
        failures.push(error);
      }
    };
    await Promise.all(rids.map((rid) => limit(() => settleOne(rid))));
  }
}
