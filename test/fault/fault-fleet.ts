import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { parse, stringify } from 'yaml';
import { probeReplica } from '../../fleet/replica-probe.ts';
import { packageRoot } from '../../primitives/package-root.ts';
import { DevFleet, type Restating } from '../harness/dev-fleet.ts';
import { START_DEADLINE } from '../harness/managed-process.ts';
import { compileShim } from '../integration/support/token-uses.ts';
import { compileDiskShim } from './disk.ts';
import type { Party } from './faults.ts';
import { FaultyReplica, type Preloads, type Watcher } from './faulty-replica.ts';
import { Link } from './link.ts';

const run = promisify(execFile);

export interface FaultFleetOptions extends Watcher {
  /** The compiled daemon; that in dist/ unless told. */
  readonly daemon?: string;
  readonly progress: (step: string) => void;
}

/** A fleet whose every connection passes a link of ours, whose tokens record their uses, and whose replicas can be made to fail. */
export class FaultFleet {
  readonly dev: DevFleet;
  /** In order of index. */
  replicas: readonly FaultyReplica[] = [];
  readonly #options: Omit<FaultFleetOptions, 'progress'>;
  readonly #links = new Map<string, Link>();

  private constructor(dev: DevFleet, options: Omit<FaultFleetOptions, 'progress'>) {
    this.dev = dev;
    this.#options = options;
  }

  /** Where frontends find the replicas, in order of index. */
  get addresses(): string[] {
    return this.replicas.map(({ index }) => `localhost:${this.link('frontend', `replica-${index}`).port}`);
  }

  static async start({ progress, ...options }: FaultFleetOptions): Promise<FaultFleet> {
    const dev = await DevFleet.start({
      fleet: 'fault',
      settings: { log_level: 'warn', sweep_interval_ms: 2000, bounds: { limit_most: 50 } },
      progress,
    });
    const fleet = new FaultFleet(dev, options);
    try {
      progress('putting links, shims and clocks in between');
      await Promise.all(dev.replicas.map(({ process }) => process.stop()));
      await fleet.#wire();
      return fleet;
    } catch (error) {
      await fleet.stop();
      throw error;
    }
  }

  /** Stops every replica, makes the next statement, and starts those of the fleet. Nothing must be going wrong meanwhile. */
  async restate(changes: Restating): Promise<void> {
    await Promise.all(this.replicas.map((replica) => replica.stop()));
    await this.dev.state(changes);
    await this.#wire();
  }

  /** A replica loses its guard while nothing is asked, and gets a new one of what the others remember. Returns of how many records. */
  async loseGuard(index: number): Promise<number> {
    await this.#dealt(index);
    await Promise.all(this.replicas.map((replica) => replica.stop()));
    const lost = this.dev.replicas.find(({ place }) => place.index === index);
    if (!lost) throw new RangeError(`there is no replica ${index}`);
    rmSync(lost.guardDirectory, { recursive: true });
    await this.dev.state({ guardsLost: [index] });
    this.#rewire();
    const { config, directory } = lost.place;
    const env = { ...process.env, SOFTHSM2_CONF: join(directory, 'softhsm2.conf') };
    const bkvctl = async (command: string): Promise<string> => {
      const args = [join(packageRoot, 'dist/cli/main.js'), '--json', 'guard', command, '--config', config];
      return (await run(process.execPath, args, { env })).stdout; // its connections pass the links of this process
    };
    await bkvctl('create');
    for (const replica of this.replicas) if (replica.index !== index) replica.supervise();
    await this.serving(index);
    const { rebuilt } = JSON.parse(await bkvctl('rebuild')) as { rebuilt: number };
    this.replica(index).supervise();
    await this.serving();
    return rebuilt;
  }

  /** The others have what it takes to give the replica its seeds back. */
  async #dealt(index: number): Promise<void> {
    const port = this.dev.replicas.find(({ place }) => place.index === index)?.ports.metrics;
    const deadline = performance.now() + START_DEADLINE;
    for (;;) {
      const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
      if (/^bkv_seeds_undealt 0$/m.test(text)) return;
      if (performance.now() > deadline)
        throw new Error(`replica ${index} has seeds that are not dealt: ${/^bkv_seeds.*$/m.exec(text)?.[0]}`);
      await delay(500);
    }
  }

  /** Puts links, shims and clocks between whatever has none yet, and starts every replica. Resolves when all of them serve. */
  async #wire(): Promise<void> {
    const { dev } = this;
    for (const [name, port] of connections(dev)) if (!this.#links.has(name)) this.#links.set(name, await Link.to(port));
    const { daemon, ...watcher } = this.#options;
    const preloads: Preloads = { diskShim: compileDiskShim(dev.directory), faketime: findFaketime() };
    this.#rewire();
    const before = new Map(this.replicas.map((replica) => [replica.index, replica]));
    this.replicas = dev.replicas.map(
      (replica) => before.get(replica.place.index) ?? new FaultyReplica(replica, dev.clientFile, preloads, watcher, daemon),
    );
    for (const replica of this.replicas) replica.supervise();
    await this.serving();
  }

  #rewire(): void {
    const module = compileShim(this.dev.directory);
    for (const { place } of this.dev.replicas) rewire(place.config, place.index, module, this.#links);
  }

  link(from: Party, to: Party): Link {
    const link = this.#links.get(`${from} ${to}`);
    if (!link) throw new RangeError(`there is no connection from ${from} to ${to}`);
    return link;
  }

  replica(index: number): FaultyReplica {
    const replica = this.replicas.find((one) => one.index === index);
    if (!replica) throw new RangeError(`there is no replica ${index}`);
    return replica;
  }

  /** Mends everything, and waits until every replica serves. */
  async heal(): Promise<void> {
    for (const link of this.#links.values()) link.heal();
    for (const member of this.dev.etcd.members) {
      member.resume();
      if (!member.running) await member.launch();
    }
    for (const replica of this.replicas) replica.heal();
    await this.serving();
  }

  /** Throws with the log of the first replica that does not serve. */
  async serving(but?: number): Promise<void> {
    const deadline = performance.now() + START_DEADLINE;
    const { addresses, tls } = this.dev.client;
    for (const [i, address] of addresses.entries())
      while (this.replicas[i]?.index !== but && (await probeReplica(address, tls)).health !== 'SERVING') {
        if (performance.now() > deadline) throw new Error(await notServing(this.replicas[i] as FaultyReplica));
        await delay(100);
      }
  }

  async stop(): Promise<void> {
    await Promise.all(this.replicas.map((replica) => replica.stop()));
    for (const link of this.#links.values()) link.close();
    for (const member of this.dev.etcd.members) member.resume();
    await this.dev.stop();
  }
}

/** By "from to": the port that the connection leads to. */
function* connections({ replicas, etcd }: DevFleet): Generator<[string, number]> {
  for (const { place, ports } of replicas) {
    yield [`frontend replica-${place.index}`, ports.frontend];
    for (const other of replicas)
      if (other.place.index !== place.index) yield [`replica-${place.index} replica-${other.place.index}`, other.ports.peer];
    for (const [i, endpoint] of etcd.endpoints.entries()) yield [`replica-${place.index} etcd-${i}`, Number(new URL(endpoint).port)];
  }
}

interface Wiring {
  peers: { index: number; address: string }[];
  etcd: { endpoints: string[] };
  token: { module?: string };
}

function rewire(file: string, index: number, module: string, links: ReadonlyMap<string, Link>): void {
  const config = parse(readFileSync(file, 'utf8')) as Wiring;
  const through = (to: Party) => `localhost:${links.get(`replica-${index} ${to}`)?.port}`;
  for (const peer of config.peers) peer.address = through(`replica-${peer.index}`);
  config.etcd.endpoints = config.etcd.endpoints.map((_, i) => `https://${through(`etcd-${i}`)}`);
  config.token.module = module;
  writeFileSync(file, stringify(config));
}

/** The library of Debian's faketime; its folder is named after the machine. */
function findFaketime(): string {
  const candidates = readdirSync('/usr/lib').map((folder) => `/usr/lib/${folder}/faketime/libfaketimeMT.so.1`);
  const found = candidates.find((file) => existsSync(file));
  if (!found) throw new Error('libfaketime is not installed: run `make setup`.');
  return found;
}

const notServing = async ({ index, process }: FaultyReplica): Promise<string> =>
  `replica ${index} does not serve (${await process.explain()}):\n${process.logTail()}`;
