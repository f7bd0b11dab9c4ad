import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { packageRoot } from '../../primitives/package-root.ts';
import type { DevReplica } from '../harness/dev-fleet.ts';
import { freePorts } from '../harness/free-port.ts';
import { ManagedProcess } from '../harness/managed-process.ts';
import { type OwnFleet, startOwnFleet } from './support/own-fleet.ts';

// One token, one guard, one daemon.

let own: OwnFleet;

beforeAll(async () => {
  own = await startOwnFleet();
});

afterAll(() => own?.stop());

/** Another daemon on the same token, with a guard and ports of its own. */
async function twinOf({ place, guardDirectory }: DevReplica, guard: string): Promise<ManagedProcess> {
  cpSync(guardDirectory, join(place.directory, guard), { recursive: true });
  rmSync(join(place.directory, guard, 'store', 'LOCK'), { force: true });
  const config = parse(readFileSync(place.config, 'utf8'));
  const [frontend, peer] = await freePorts(2);
  config.listen = { frontend: `127.0.0.1:${frontend}`, peer: `127.0.0.1:${peer}` };
  config.guard = guard;
  const file = join(place.directory, `${guard}.yaml`);
  writeFileSync(file, stringify(config));
  return new ManagedProcess({
    name: guard,
    program: 'env',
    args: [
      `SOFTHSM2_CONF=${join(place.directory, 'softhsm2.conf')}`,
      process.execPath,
      join(packageRoot, 'dist/daemon/main.js'),
      '--config',
      file,
    ],
    logFile: join(place.directory, `${guard}.log`),
    ready: async () => readFileSync(join(place.directory, `${guard}.log`), 'utf8').includes('"serving"'),
  });
}

test('a guard that was copied while the replica stood still is refused once the replica served again', async () => {
  const replica = own.fleet.replica(1);
  await replica.process.stop();
  const twin = await twinOf(replica, 'older-copy');
  await replica.process.start();
  await twin.launch();
  await twin.exited();
  expect(twin.logTail(1)).toContain('GUARD_MISMATCH');
  expect(replica.process.running).toBe(true);
});

test('of two daemons on one token the first notices, and ends', async () => {
  const replica = own.fleet.replica(2);
  const twin = await twinOf(replica, 'running-copy'); // taken from under the running daemon: nothing tells it from a restart
  await twin.start();
  await replica.process.exited();
  expect(replica.process.logTail(3)).toContain('another daemon began to serve with this token');
  await twin.stop();
});

test('a replica that served on does not accept the guard of the twin’s time', async () => {
  const replica = own.fleet.replica(2);
  await replica.process.launch();
  await replica.process.exited();
  expect(replica.process.logTail(1)).toContain('GUARD_MISMATCH');
});
