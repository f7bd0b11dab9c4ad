import { renameSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { FaultPoint } from '../../daemon/fault-point.ts';
import type { Millis } from '../../primitives/brand.ts';
import type { DevReplica } from '../harness/dev-fleet.ts';
import type { ManagedProcess } from '../harness/managed-process.ts';
import { replicaProcess } from '../harness/replica-process.ts';
import { breakDisk, type DiskFault, mendDisk } from './disk.ts';

export interface Preloads {
  readonly diskShim: string;
  readonly faketime: string;
}

/** As a supervisor would: not at once, so that what fails at its start does not take the whole machine. */
const RESTART_AFTER: Millis = 300;

export interface Watcher {
  /** Before each start: what the process before wrote of its token's uses is complete. */
  readonly onStart: (replica: number, uses: string) => void;
  /** Of a replica that ended without having been killed from here. */
  readonly onEnd: (replica: number, diedAt: FaultPoint | undefined, lastWords: string) => void;
}

/** A replica under a supervisor that starts it again whenever it ends, on a disk and by a clock that can go wrong. */
export class FaultyReplica {
  readonly index: number;
  readonly process: ManagedProcess;
  readonly #guard: string;
  readonly #clock: string;
  readonly #uses: string;
  readonly #env: Record<string, string>;
  readonly #watcher: Watcher;
  #dieAt: FaultPoint | undefined;
  #notBefore = 0;
  #wasKilled = false;
  #isOver = false;
  #supervision: Promise<void> = Promise.resolve();

  constructor({ place, guardDirectory }: DevReplica, clientFile: string, preloads: Preloads, watcher: Watcher, daemon?: string) {
    this.index = place.index;
    this.#guard = guardDirectory;
    this.#clock = `${place.directory}/clock`;
    this.#uses = `${place.directory}/softhsm2.conf.uses`; // by test/harness/counting-shim.c
    this.#watcher = watcher;
    this.setClock(0);
    this.#env = {
      LD_PRELOAD: `${preloads.diskShim} ${preloads.faketime}`,
      BKV_DISK: this.#guard,
      FAKETIME_TIMESTAMP_FILE: this.#clock,
      FAKETIME_CACHE_DURATION: '1', // seconds
      FAKETIME_DONT_FAKE_MONOTONIC: '1', // Node's timers count by it, and no clock that is set moves it
      NO_FAKE_STAT: '1',
    };
    this.process = replicaProcess(place, clientFile, { env: this.#env, ...(daemon ? { daemon } : {}) });
  }

  /** From now on it runs, unless it is killed. */
  supervise(): void {
    this.#isOver = false;
    this.#supervision = this.#run();
  }

  /** Ends it as a crash does, and lets it start again after `down`; at `dieAt` it then kills itself. */
  async kill(down: Millis, dieAt?: { readonly point: FaultPoint; readonly nth: number }): Promise<void> {
    this.#notBefore = performance.now() + down;
    this.#wasKilled = true;
    this.#arm(dieAt);
    await this.process.kill();
  }

  disk(fault: DiskFault): void {
    breakDisk(this.#guard, fault);
  }

  mend(): void {
    mendDisk(this.#guard);
  }

  /** Its wall clock is off by so many seconds, within a second. */
  setClock(seconds: number): void {
    writeFileSync(`${this.#clock}.new`, `${seconds < 0 ? '' : '+'}${seconds}\n`);
    renameSync(`${this.#clock}.new`, this.#clock);
  }

  heal(): void {
    this.process.resume();
    this.mend();
    this.setClock(0);
    this.#arm(undefined);
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    this.#wasKilled = true;
    await this.process.kill();
    await this.#supervision;
  }

  #arm(dieAt: { readonly point: FaultPoint; readonly nth: number } | undefined): void {
    this.#dieAt = dieAt?.point;
    if (dieAt) this.#env.BKVD_FAULT_POINT = `${dieAt.point}:${dieAt.nth}`;
    else delete this.#env.BKVD_FAULT_POINT;
  }

  async #run(): Promise<void> {
    while (!this.#isOver) {
      while (performance.now() < this.#notBefore) await delay(20);
      if (this.#isOver) return;
      this.#wasKilled = false;
      const dieAt = this.#dieAt;
      this.#watcher.onStart(this.index, this.#uses);
      await this.process.launch();
      this.#arm(undefined); // for this life
      await this.process.exited();
      if (this.#wasKilled) continue;
      this.#watcher.onEnd(this.index, dieAt, this.process.logTail(25));
      await delay(RESTART_AFTER);
    }
  }
}
