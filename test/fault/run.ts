import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { everyAccount } from '../../cli/every-account.ts';
import { GrantSigner } from '../../frontend/grant-signer.ts';
import { frontendTransport } from '../../frontend/transport.ts';
import { VaultConnection } from '../../frontend/vault-connection.ts';
import { toHex } from '../../primitives/bytes.ts';
import type { Statement } from '../../protocol/statement.ts';
import type { Restating } from '../harness/dev-fleet.ts';
import { moveOn, settle } from './aftermath.ts';
import { check, type Violation } from './checker.ts';
import { Device } from './device.ts';
import { EtcdLie } from './etcd-lie.ts';
import { FaultFleet } from './fault-fleet.ts';
import type { Fault } from './faults.ts';
import { History, type HistoryEvent } from './history.ts';
import { Injector } from './injector.ts';
import { Prng } from './prng.ts';
import { recording } from './recorder.ts';
import { ATTEMPTS, countsOf, reportOf } from './report.ts';
import { TokenWatch } from './token-watch.ts';
import { Workload } from './workload.ts';

/** How long which faults are injected. */
export interface Phase {
  readonly seconds: number;
  readonly plan: readonly Fault[];
  /** Before it, while nothing is asked of the fleet. */
  readonly change?: Restating;
  /** The same: a replica whose guard is lost, and rebuilt from the others. */
  readonly guardLost?: number;
}

export interface RunOptions {
  readonly seed: number;
  /** One after the other. */
  readonly phases: readonly Phase[];
  /** The run goes on, without faults, until so many were answered; 0 unless told. */
  readonly attempts?: number;
  /** For history.jsonl and report.txt; made anew. */
  readonly output: string;
  /** The compiled daemon; that in dist/ unless told. */
  readonly daemon?: string;
  readonly devices?: number;
  readonly accountsAtOnce?: number;
  /** Attempts that an account allows: one of these. */
  readonly limits?: readonly number[];
  readonly progress: (line: string) => void;
}

export interface RunResult {
  readonly violations: readonly Violation[];
  readonly report: string;
}

/** Most accounts live for long; some are soon spent. */
const LIMITS: readonly number[] = [1, 3, 5, 10, 50, 50, 50, 50];
const PROGRESS_EVERY = 10_000;
const TOKENS_EVERY = 500;

/** What the network of a device does to one request of its in so many. */
const mischief = { none: 88, 'lose-request': 2, 'lose-reply': 5, 'send-twice': 5 } as const;
const honest = { none: 1, 'lose-request': 0, 'lose-reply': 0, 'send-twice': 0 } as const;

/** Starts a fleet, lets devices use it while things go wrong, heals it, and holds what happened against the promises. */
export async function run(options: RunOptions): Promise<RunResult> {
  const { seed, phases, output, progress } = options;
  const seconds = phases.reduce((sum, phase) => sum + phase.seconds, 0);
  rmSync(output, { recursive: true, force: true });
  mkdirSync(output, { recursive: true });
  const history = new History(join(output, 'history.jsonl'));
  const watches = new Map<number, TokenWatch>();
  const lookAtTokens = () => {
    for (const watch of watches.values()) for (const event of watch.poll(history.now())) history.add(event);
  };
  const fleet = await FaultFleet.start({
    ...(options.daemon ? { daemon: options.daemon } : {}),
    progress,
    onStart: (replica, uses) => {
      lookAtTokens();
      const watch = watches.get(replica) ?? new TokenWatch(uses, replica);
      watches.set(replica, watch);
      watch.restarted();
    },
    onEnd: (replica, diedAt, why) => {
      const at = history.now();
      if (diedAt) history.add({ type: 'fault', at, until: at, kind: 'died-at', what: `replica-${replica} ${diedAt}`, alone: false });
      else history.add({ type: 'exited', at, replica, why });
    },
  });
  const closers: (() => void)[] = [];
  const statements = [fleet.dev.statement];
  try {
    const random = new Prng(seed).fork();
    const rid = (recordId: string) => toHex(fleet.dev.rid(recordId));
    const device = (name: string, first: number, weights: typeof mischief | typeof honest) =>
      openDevice(fleet, history, { name, first, weights, random: random.fork(), rid, statements, closers });
    const opened = Array.from({ length: options.devices ?? 16 }, (_, i) => device(`device-${i + 1}`, i, mischief));
    const devices = opened.map((one) => one.device);
    const { accountsAtOnce = 24, limits = LIMITS } = options;
    const workload = new Workload({ devices, random: random.fork(), rid, accountsAtOnce, limits });
    const lie = new EtcdLie(fleet.dev.etcd, fleet.dev.client.fleet, random.fork());
    closers.push(() => lie.close());
    const injector = new Injector(fleet, history, async () => {
      const told = await lie.tell(workload.active);
      for (const { isRolledBack, rid } of workload.accounts) if (isRolledBack) history.add({ type: 'rolled-back', at: history.now(), rid });
      return told?.what;
    });
    const timers = [setInterval(lookAtTokens, TOKENS_EVERY), setInterval(() => progress(progressOf(history.events)), PROGRESS_EVERY)];
    closers.push(() => timers.forEach(clearInterval));

    const healer = () => ({ history, ...device('healer', 0, honest), store: fleet.dev.store, active: workload.active });
    history.begin();
    for (const phase of phases) {
      if (phase.change) {
        progress(`changing the fleet: ${JSON.stringify(phase.change)}`);
        if (phase.change.leaving) await moveOn(workload.accounts, healer());
        await fleet.restate(phase.change);
      }
      if (phase.guardLost) {
        progress(`losing the guard of replica ${phase.guardLost}`);
        const records = await fleet.loseGuard(phase.guardLost);
        history.add({ type: 'rebuilt', at: history.now(), replica: phase.guardLost, records });
      }
      if (fleet.dev.statement !== statements[0]) {
        statements.unshift(fleet.dev.statement);
        for (const one of opened) one.renew();
      }
      progress(`injecting ${phase.plan.length} faults in ${phase.seconds} s`);
      const working = workload.run();
      const began = performance.now();
      await injector.run(phase.plan);
      await delay(Math.max(0, phase.seconds * 1000 - (performance.now() - began)));
      // Without faults: a busy machine had too many.
      const isLast = phase === phases.at(-1);
      while (isLast && countsOf(history.events)[ATTEMPTS] < (options.attempts ?? 0)) await delay(PROGRESS_EVERY);
      workload.end();
      progress('healing');
      await fleet.heal();
      await working;
    }

    progress(`settling ${workload.accounts.length} records`);
    await settle(workload.accounts, healer());
    lookAtTokens();
  } finally {
    for (const close of closers) close();
    await fleet.stop();
    await history.close();
  }
  const violations = check(history.events);
  const report = reportOf(history.events, violations, { seed, seconds });
  writeFileSync(join(output, 'report.txt'), report);
  return { violations, report };
}

interface Opening {
  readonly name: string;
  /** The replica that it asks first. */
  readonly first: number;
  readonly weights: typeof mischief | typeof honest;
  readonly random: Prng;
  readonly rid: (recordId: string) => string;
  /** What the fleet had until now, the newest first. */
  readonly statements: readonly Statement[];
  readonly closers: (() => void)[];
}

function openDevice(faulty: FaultFleet, history: History, opening: Opening) {
  const { name, first, weights, random, rid, statements, closers } = opening;
  const { dev } = faulty;
  const { fleet, tenant, tls, grant } = dev.client;
  const pem = (file: string) => readFileSync(file, 'utf8');
  const connect = () => {
    const { addresses } = faulty;
    const from = first % addresses.length;
    return new VaultConnection({
      addresses: [...addresses.slice(from), ...addresses.slice(0, from)],
      tls: { ca: pem(tls.ca), cert: pem(tls.cert), key: pem(tls.key) },
    });
  };
  let connection = connect();
  closers.push(() => connection.close());
  const signer = new GrantSigner({ kid: grant.kid, pem: pem(grant.key) });
  const relay = everyAccount((account) => frontendTransport({ connection, signer, fleet, tenant, account }));
  const record = (listener: Pick<Device, 'onEnrolment' | 'onGuess'>) =>
    recording(relay, {
      ...{ device: name, statements, history, rid, random: random.fork(), mischief: weights },
      onEnrolment: (request) => listener.onEnrolment(request),
      onGuess: (request) => listener.onGuess(request),
    });
  const policy = () => ({ kind: 'pinned', statementHashes: statements.map(({ hash }) => hash) }) as const;
  const device = new Device({ name, random, history, fleet, tenant, policy, connect: record });
  /** Of the fleet as it is now. */
  const renew = () => {
    connection.close();
    connection = connect();
    device.restart();
  };
  return { device, transport: record({ onEnrolment: () => {}, onGuess: () => {} }), renew };
}

function progressOf(events: readonly HistoryEvent[]): string {
  const answered = new Set(
    events.flatMap((e) => (e.type === 'call' && e.method === 'beginRecovery' && e.outcome === 'ok' ? [`${e.g} ${e.point}`] : [])),
  );
  return `${answered.size} attempts, ${events.filter(({ type }) => type === 'fault').length} faults`;
}
