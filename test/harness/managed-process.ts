import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { Millis } from '../../primitives/brand.ts';
import { threadsOf } from '../../primitives/process-threads.ts';
import { cpuOf } from './process-usage.ts';
import { reapProcess } from './reaper.ts';

export interface Command {
  /** How messages call it. */
  readonly name: string;
  readonly program: string;
  readonly args: readonly string[];
  /** Beside ours; asked for at each start. */
  readonly env?: () => Readonly<Record<string, string>>;
  /** Takes its output; appended to over restarts. */
  readonly logFile: string;
  /** Resolves to true once the process does its work. */
  readonly ready: () => Promise<boolean>;
  /** Asked where it does not become ready: what can be seen of that from outside. */
  readonly explain?: () => Promise<string>;
  /** What it exits with where a supervisor would start it again, as also where it killed itself. */
  readonly temporary?: number;
}

export const START_DEADLINE: Millis = 120_000;
const STOP_DEADLINE: Millis = 60_000;
const POLL: Millis = 50;

/** A program that tests start, stop, kill, freeze and start again under the same command. */
export class ManagedProcess {
  readonly name: string;
  readonly logFile: string;
  readonly #command: Command;
  #child: ChildProcess | undefined;
  #exited: Promise<void> = Promise.resolve();
  /** Did its end mean that a supervisor starts it again? */
  #isTemporary = false;
  #isKilled = false;
  #exitCode: number | null = null;

  constructor(command: Command) {
    this.name = command.name;
    this.logFile = command.logFile;
    this.#command = command;
  }

  get running(): boolean {
    return this.#child !== undefined;
  }

  /** Undefined while it is not running. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /**
   * Resolves when the process is ready. It is started again where a supervisor would do that, as when etcd is slow beside other work. Throws with the
   * end of its log when it exits for another reason, or takes too long.
   */
  async start(patience: Millis = START_DEADLINE): Promise<void> {
    await this.launch();
    const deadline = performance.now() + patience;
    while (!(await this.#command.ready())) {
      if (!this.running && !this.#isTemporary) throw new Error(`${this.name} exited at its start:\n${this.logTail()}`);
      if (!this.running) await this.launch();
      if (performance.now() > deadline)
        throw new Error(`${this.name} is not ready after ${patience} ms (${await this.explain()}):\n${this.logTail()}`);
      await delay(POLL);
    }
  }

  /** Whether it waits for something or never stops working is the first thing to know. */
  async explain(): Promise<string> {
    const seen = (await this.#command.explain?.()) ?? 'not asked';
    return `${seen}; ${this.pid === undefined ? `ended with ${this.#exitCode}` : `${cpuOf([this.pid])} ms of CPU used, threads ${threadsOf(this.pid)}`}`;
  }

  /** Starts without waiting for readiness: for what is not to become ready. */
  async launch(): Promise<void> {
    if (this.running) throw new Error(`${this.name} is running already`);
    const { program, args, env, logFile } = this.#command;
    const log = openSync(logFile, 'a');
    // Detached, so that a Ctrl-C at the terminal reaches only us; the log is a file, so that the process survives us if it is to be kept.
    const child = spawn(program, args, { env: { ...process.env, ...env?.() }, stdio: ['ignore', log, log], detached: true });
    closeSync(log);
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', (cause) => reject(new Error(explain(program, cause as NodeJS.ErrnoException), { cause })));
    });
    reapProcess(child);
    this.#child = child;
    this.#isKilled = false;
    this.#exited = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        this.#child = undefined;
        this.#exitCode = code;
        const endsItself = signal === 'SIGKILL' && !this.#isKilled; // as a replica whose token hangs does
        this.#isTemporary = this.#command.temporary !== undefined && (code === this.#command.temporary || endsItself);
        resolve();
      });
    });
  }

  /** As an operator stops it; kills it if it does not obey. */
  async stop(): Promise<void> {
    this.signal('SIGCONT'); // a frozen process hears nothing else
    this.signal('SIGTERM');
    const timer = setTimeout(() => this.signal('SIGKILL'), STOP_DEADLINE);
    await this.#exited;
    clearTimeout(timer);
  }

  /** As a crash ends it. */
  async kill(): Promise<void> {
    this.signal('SIGKILL');
    await this.#exited;
  }

  /** Freezes it: its connections stay open and answer nothing. */
  pause(): void {
    this.signal('SIGSTOP');
  }

  resume(): void {
    this.signal('SIGCONT');
  }

  signal(signal: NodeJS.Signals): void {
    this.#isKilled ||= signal === 'SIGKILL';
    this.#child?.kill(signal);
  }

  /** Resolves when the process has ended, at once if it is not running. */
  exited(): Promise<void> {
    return this.#exited;
  }

  /** Lets this process end while that one runs on. */
  unref(): void {
    this.#child?.unref();
  }

  log(): string {
    return readFileSync(this.logFile, 'utf8');
  }

  logTail(lines = 20): string {
    return this.log().trimEnd().split('\n').slice(-lines).join('\n');
  }
}

function explain(program: string, error: NodeJS.ErrnoException): string {
  if (error.code === 'ENOENT') return `The program ${program} is not installed: run \`make setup\`.`;
  return `The program ${program} cannot be started: ${error.message}`;
}
