import { setTimeout as delay } from 'node:timers/promises';
import type { Millis } from '../../primitives/brand.ts';
import type { ManagedProcess } from '../harness/managed-process.ts';
import type { FaultFleet } from './fault-fleet.ts';
import { describeFault, type EtcdTarget, type Fault } from './faults.ts';
import type { History } from './history.ts';

const ELECTION: Millis = 5000;

/** Makes things go wrong, and mends them: each fault of a plan at its time. */
export class Injector {
  readonly #fleet: FaultFleet;
  readonly #history: History;
  readonly #rollBack: () => Promise<string | undefined>;

  /** `rollBack` has etcd lie about one record, and names it. */
  constructor(fleet: FaultFleet, history: History, rollBack: () => Promise<string | undefined>) {
    this.#fleet = fleet;
    this.#history = history;
    this.#rollBack = rollBack;
  }

  /** Resolves when the last fault is over. */
  async run(plan: readonly Fault[]): Promise<void> {
    const began = performance.now();
    const running: Promise<void>[] = [];
    for (const fault of plan) {
      await delay(Math.max(0, began + fault.at - performance.now()));
      running.push(this.#inject(fault));
    }
    await Promise.all(running);
  }

  async #inject(fault: Fault): Promise<void> {
    const at = this.#history.now();
    const what = await this.#apply(fault);
    // Nothing happened where, for example, no member of etcd led just then.
    if (what === undefined) return;
    this.#history.add({ type: 'fault', at, until: this.#history.now(), kind: fault.kind, what, alone: fault.alone });
  }

  /** Until it is healed. Returns what it was. */
  async #apply(fault: Fault): Promise<string | undefined> {
    const fleet = this.#fleet;
    const what = describeFault(fault);
    switch (fault.kind) {
      case 'kill-replica': {
        await fleet.replica(fault.replica).kill(fault.for, fault.dieAt);
        await delay(fault.for);
        return what;
      }
      case 'stop-replica': {
        const { process } = fleet.replica(fault.replica);
        process.pause();
        await delay(fault.for);
        process.resume();
        return what;
      }
      case 'kill-etcd': {
        const member = await this.#member(fault.who);
        if (!member?.running) return undefined;
        await member.kill();
        await delay(fault.for);
        if (!member.running) await member.launch();
        return `${what} ${member.name}`;
      }
      case 'stop-etcd': {
        const member = await this.#member(fault.who);
        if (!member) return undefined;
        member.pause();
        await delay(fault.for);
        member.resume();
        return `${what} ${member.name}`;
      }
      case 'late-proposal':
        return this.#lateProposal();
      case 'cut-link': {
        const link = fleet.link(fault.from, fault.to);
        link.hold(fault.direction);
        await delay(fault.for);
        if (fault.thenBreak) link.break();
        link.release(fault.direction);
        return what;
      }
      case 'reset-link': {
        const link = fleet.link(fault.from, fault.to);
        link.refuse(true);
        await delay(fault.for);
        link.refuse(false);
        return what;
      }
      case 'slow-disk':
      case 'full-disk':
      case 'broken-disk': {
        const replica = fleet.replica(fault.replica);
        replica.disk(fault.kind === 'slow-disk' ? { slow: fault.flush } : fault.kind === 'full-disk' ? 'full' : 'broken');
        await delay(fault.for);
        replica.mend();
        return what;
      }
      case 'clock': {
        const replica = fleet.replica(fault.replica);
        replica.setClock(fault.seconds);
        await delay(fault.for);
        replica.setClock(0);
        return what;
      }
      case 'roll-back':
        return this.#rollBack();
    }
  }

  /** What the old leader had in hand may land after a read at the new one showed that it did not. */
  async #lateProposal(): Promise<string | undefined> {
    const { etcd } = this.#fleet.dev;
    const old = await this.#member('leader');
    if (!old) return undefined;
    old.pause();
    const deadline = performance.now() + ELECTION;
    let next: ManagedProcess | undefined;
    do {
      await delay(100);
      next = await etcd.leader(old).catch(() => undefined);
    } while (!next && performance.now() < deadline);
    old.resume();
    return `${old.name}${next ? `, then ${next.name}` : ''}`;
  }

  async #member(who: EtcdTarget): Promise<ManagedProcess | undefined> {
    const { etcd } = this.#fleet.dev;
    const leader = await etcd.leader().catch(() => undefined);
    if (!leader || who === 'leader') return leader;
    return etcd.members.find((member) => member !== leader && member.running);
  }
}
