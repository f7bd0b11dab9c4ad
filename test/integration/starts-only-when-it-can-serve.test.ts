import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { provisionInChild } from '../../cli/provision-in-child.ts';
import { type ProducedFleet, produceFleet } from '../../fleet/produce/fleet.ts';
import type { ReplicaPlace } from '../../fleet/produce/fleet-plan.ts';
import { encodeStatement, type StatementDocument } from '../../protocol/statement.ts';
import { breakDisk, compileDiskShim, mendDisk } from '../fault/disk.ts';
import { type EtcdCluster, startEtcd } from '../harness/etcd-cluster.ts';
import { freePorts } from '../harness/free-port.ts';
import { scratchDirectory } from '../harness/reaper.ts';
import { replicaProcess } from '../harness/replica-process.ts';
import { type Change, type Ended, runDaemon, runWith } from './support/bad-start.ts';

let etcd: EtcdCluster;
let fleet: ProducedFleet;
let silent: Server;

beforeAll(async () => {
  etcd = await startEtcd({ members: 1 });
  const ports = await freePorts(9);
  const directory = join(scratchDirectory('starts'), 'fleet');
  fleet = await produceFleet({
    ...{ directory, fleet: 'starts', tenant: 'acme', threshold: 2, profile: 'softhsm2', settings: {} },
    ports: [0, 3, 6].map((i) => ({ frontend: ports[i] as number, peer: ports[i + 1] as number, metrics: ports[i + 2] as number })),
    etcdEndpoints: etcd.endpoints,
    etcdTls: etcd.tls,
    software: { version: '0.0.0', digest: 'development' },
    provision: provisionInChild,
    progress: () => {},
    now: Date.now(),
  });
  silent = createServer(() => {}); // takes connections and says nothing
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
});

afterAll(async () => {
  silent?.close();
  await etcd?.stop();
  if (fleet) rmSync(join(fleet.directory, '..'), { recursive: true, force: true });
});

const place = (index: number) => fleet.replicas[index - 1] as ReplicaPlace;
const portOf = (server: Server) => (server.address() as AddressInfo).port;

/** One sentence of stderr, for a person; the exit code, for a supervisor; and an end without waiting to be killed. */
function expectRefused({ exitCode, stderr }: Ended, expected: { exit: number; code: string; says: RegExp }): void {
  expect(stderr).toMatch(new RegExp(`^bkvd: ${expected.code}: `, 'm'));
  expect(stderr).toMatch(expected.says);
  expect(stderr).not.toMatch(/\n\s+at /); // no stack
  expect(exitCode).toBe(expected.exit);
}

describe.concurrent('the command line', () => {
  test('without a configuration is a usage error', async () => {
    expect((await runDaemon([], '')).exitCode).toBe(64);
  });

  test('with a configuration that is not there', async () => {
    const ended = await runDaemon(['--config', '/nowhere/config.yaml'], '');
    expectRefused(ended, { exit: 78, code: 'CONFIG_INVALID', says: /\/nowhere\/config\.yaml/ });
  });

  test('with a configuration that is no YAML', async () => {
    const file = join(place(1).directory, 'broken.yaml');
    writeFileSync(file, 'replica: [1');
    expectRefused(await runDaemon(['--config', file], ''), { exit: 78, code: 'CONFIG_INVALID', says: /broken\.yaml/ });
  });
});

const otherStatement = (change: (document: StatementDocument) => void): string => {
  const document = JSON.parse(readFileSync(join(fleet.directory, 'statement.json'), 'utf8')) as StatementDocument;
  change(document);
  const file = join(fleet.directory, `statement-${Math.random().toString(36).slice(2)}.json`);
  writeFileSync(file, encodeStatement(document));
  return file;
};

const swapReleaseKeys = ({ replicas }: StatementDocument): void => {
  const [first, second] = replicas as [StatementDocument['replicas'][number], StatementDocument['replicas'][number]];
  [first.release_key, second.release_key] = [second.release_key, first.release_key];
};

const copyOfGuard = (index: number): string => {
  const copy = join(fleet.directory, `guard-of-${index}`);
  cpSync(join(place(index).directory, 'guard'), copy, { recursive: true });
  return copy;
};

type Refusal = [what: string, exit: number, code: string, says: RegExp, change: Change];

// Those that stop before the guard is opened: two at a time.
describe.concurrent('a replica does not start', () => {
  test.each<Refusal>([
    ['with an unknown setting', 78, 'CONFIG_INVALID', /typo/, (config) => Object.assign(config, { typo: 1 })],
    ['with a limit of 0', 78, 'CONFIG_INVALID', /limit_most/, (config) => Object.assign(config, { bounds: { limit_most: 0 } })],
    ['without a peer', 78, 'CONFIG_INVALID', /`peers`/, (config) => void config.peers.pop()],
    ['without its statement', 78, 'CONFIG_INVALID', /statement/, (config) => Object.assign(config, { statement: 'nowhere.json' })],
    ['without its PIN file', 78, 'CONFIG_INVALID', /PIN file/, (config) => Object.assign(config.token, { pin_file: 'nowhere' })],
    ['with a wrong PIN', 77, 'PIN_REFUSED', /PIN/, (config) => Object.assign(config.token, { pin_file: 'so-pin' })],
    ['without its module', 78, 'MODULE_MISSING', /\/nowhere\.so/, (config) => Object.assign(config.token, { module: '/nowhere.so' })],
    ['with a module that is none', 78, 'MODULE_MISSING', /node/, (config) => Object.assign(config.token, { module: process.execPath })],
    ['without its token', 69, 'TOKEN_MISSING', /another/, (config) => Object.assign(config.token, { label: 'another' })],
    ['without its certificate', 78, 'CONFIG_INVALID', /nowhere\.crt/, (config) => Object.assign(config.tls.peer, { cert: 'nowhere.crt' })],
    [
      'with a certificate that is none',
      78,
      'CONFIG_INVALID',
      /`tls\.frontend`/,
      (config) => Object.assign(config.tls.frontend, { cert: 'pin' }),
    ],
    ['with another’s key', 78, 'CONFIG_INVALID', /`tls\.peer`/, (config) => Object.assign(config.tls.peer, { key: 'tls/etcd-client.key' })],
    ['without its key for etcd', 78, 'CONFIG_INVALID', /`etcd\.tls`/, (config) => Object.assign(config.etcd.tls, { key: 'nowhere.key' })],
    ['without a vendor profile', 78, 'CONFIG_INVALID', /nosuch/, (config) => Object.assign(config.token, { profile: 'nosuch' })],
    ['as another replica', 78, 'KEY_MISSING', /key/, asSecond],
    [
      'under a statement of other keys',
      78,
      'STATEMENT_MISMATCH',
      /releaseKey/,
      (config) => Object.assign(config, { statement: otherStatement(swapReleaseKeys) }),
    ],
    ['under a statement that is none', 78, 'FLEET_UNTRUSTED', /statement/, (config) => Object.assign(config, { statement: 'pin' })],
  ])('%s', async (_what, exit, code, says, change) => {
    expectRefused(await runWith(place(1), change), { exit, code, says });
  });
});

// As a binding to PKCS#11 that was built for another Node.js would.
test('a replica does not start without its token’s worker, and says so', async () => {
  const preloaded = join(fleet.directory, 'no-worker.cjs');
  writeFileSync(preloaded, "if (!require('node:worker_threads').isMainThread) throw new Error('cannot be loaded');");
  const ended = await runWith(place(1), () => {}, { NODE_OPTIONS: `--require ${preloaded}` });
  expectRefused(ended, { exit: 70, code: 'INTERNAL', says: /cannot be loaded/ });
});

test.each(['full', 'broken'] as const)('a replica does not start while its guard’s disk is %s; a restart may help', async (fault) => {
  const guard = join(place(1).directory, 'guard');
  const environment = { LD_PRELOAD: compileDiskShim(fleet.directory), BKV_DISK: guard };
  breakDisk(guard, fault);
  onTestFinished(() => mendDisk(guard));
  const ended = await runWith(place(1), () => {}, environment);
  expectRefused(ended, { exit: 69, code: 'GUARD_FAILING', says: fault === 'full' ? /No space left on device/ : /Input\/output error/ });
});

function asSecond(config: Parameters<Change>[0]): void {
  Object.assign(config, { replica: 2, peers: [1, 3].map((index) => ({ index, address: 'localhost:1' })) });
}

// Those that open a guard: one after the other.
describe('a replica does not start, either,', () => {
  test.each<Refusal>([
    ['without its guard', 78, 'GUARD_MISSING', /restore the guard/, (config) => Object.assign(config, { guard: 'nowhere' })],
    [
      'with the guard of another',
      78,
      'GUARD_MISMATCH',
      /not that of replica 1/,
      (config) => Object.assign(config, { guard: copyOfGuard(2) }),
    ],
    ['without etcd', 69, 'STORE_UNAVAILABLE', /etcd/, (config) => Object.assign(config.etcd, { endpoints: ['https://localhost:1'] })],
    [
      'with an etcd that says nothing',
      69,
      'STORE_UNAVAILABLE',
      /etcd/,
      (config) => Object.assign(config.etcd, { endpoints: [`https://localhost:${portOf(silent)}`] }),
    ],
    [
      'with an etcd that it does not trust',
      69,
      'STORE_UNAVAILABLE',
      /etcd/,
      (config) => Object.assign(config.etcd.tls, { ca: '../replicas-ca.crt' }),
    ],
    [
      'on a busy port for peers',
      69,
      'PORT_BUSY',
      /Cannot listen on/,
      (config) => Object.assign(config.listen, { peer: `127.0.0.1:${portOf(silent)}` }),
    ],
    [
      'on a busy port for frontends',
      69,
      'PORT_BUSY',
      /Cannot listen on/,
      (config) => Object.assign(config.listen, { frontend: `127.0.0.1:${portOf(silent)}` }),
    ],
    [
      'on a busy port for metrics',
      69,
      'PORT_BUSY',
      /Cannot listen on/,
      (config) => Object.assign(config.listen, { metrics: `127.0.0.1:${portOf(silent)}` }),
    ],
  ])('%s', async (_what, exit, code, says, change) => {
    expectRefused(await runWith(place(1), change), { exit, code, says });
  });

  test('twice', async () => {
    const running = replicaProcess(place(2), fleet.clientFile);
    await running.start();
    const second = await runWith(place(2), () => {});
    expectRefused(second, { exit: 78, code: 'GUARD_MISMATCH', says: /another process/ });
    expect(running.running).toBe(true);
    await running.stop();
  });
});

test('after all these it starts as it is, and ends when it is told to', async () => {
  const running = replicaProcess(place(1), fleet.clientFile);
  await running.start();
  await running.stop();
  expect(running.log()).toContain('stopped');
});
