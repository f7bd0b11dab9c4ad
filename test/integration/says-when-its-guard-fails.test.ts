import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { probeReplica } from '../../fleet/replica-probe.ts';
import { SecretBytes } from '../../primitives/secret-bytes.ts';
import { guardFault } from '../../protocol/guard-fault.ts';
import { breakDisk, compileDiskShim, mendDisk } from '../fault/disk.ts';
import type { ManagedProcess } from '../harness/managed-process.ts';
import { PATIENCE } from '../harness/patience.ts';
import { replicaProcess } from '../harness/replica-process.ts';
import { type OwnFleet, startOwnFleet } from './support/own-fleet.ts';

const CODE = '493817 205514';
const INDEX = 3;
let own: OwnFleet;
let bad: ManagedProcess;
let guard: string;

beforeAll(async () => {
  own = await startOwnFleet({ etcdMembers: 1 });
  const { place, process, guardDirectory } = own.fleet.replica(INDEX);
  guard = guardDirectory;
  await process.stop();
  const env = { LD_PRELOAD: compileDiskShim(place.directory), BKV_DISK: guard };
  bad = replicaProcess(place, own.fleet.clientFile, { env });
  await bad.start();
});

afterAll(async () => {
  await bad?.stop();
  await own?.stop();
});

const answer = async () => {
  const { addresses, tls } = own.fleet.client;
  const { health, problem } = await probeReplica(addresses[INDEX - 1] as string, tls);
  return [health, problem];
};

async function enrolAndRecover(recordId: string): Promise<readonly number[]> {
  const device = own.world.device();
  const backupKey = new SecretBytes(randomBytes(32));
  const { holders } = await device.enroll({ recordId, code: CODE, backupKey, policy: { limit: 5, coolDownMs: 0 } });
  const recovered = await device.recover({ recordId, code: CODE, renew: false });
  expect(recovered.backupKey.expose()).toEqual(backupKey.expose());
  return holders;
}

test.each(['full', 'broken'] as const)('a guard on a disk that is %s: said, served by the others, and back by itself', async (fault) => {
  await vi.waitFor(
    async () => expect(await enrolAndRecover(`before-${fault}-${randomBytes(4).toString('hex')}`)).toContain(INDEX),
    PATIENCE,
  );
  const { pid } = bad;
  breakDisk(guard, fault);
  expect(await enrolAndRecover(`meanwhile-${fault}`)).not.toContain(INDEX);
  await vi.waitFor(async () => expect(await answer()).toEqual(['NOT_SERVING', guardFault.meaning]), PATIENCE);
  mendDisk(guard);
  await vi.waitFor(async () => expect(await answer()).toEqual(['SERVING', undefined]), PATIENCE);
  await vi.waitFor(
    async () => expect(await enrolAndRecover(`after-${fault}-${randomBytes(4).toString('hex')}`)).toContain(INDEX),
    PATIENCE,
  );
  expect(bad.pid).toBe(pid);
});
