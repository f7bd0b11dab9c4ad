import { execFile } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { randomBytes } from '@noble/hashes/utils.js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { readTokenInChild } from '../../cli/provision-in-child.ts';
import { makeSoftHsmDirectory } from '../../daemon/token/softhsm-directory.ts';
import { makeDirectory, PUBLIC, SECRET, writeNew } from '../../fleet/produce/files.ts';
import type { ReplicaPlace } from '../../fleet/produce/fleet-plan.ts';
import { restateFleet } from '../../fleet/produce/restate.ts';
import { packageRoot } from '../../primitives/package-root.ts';
import { SecretBytes } from '../../primitives/secret-bytes.ts';
import type { ManagedProcess } from '../harness/managed-process.ts';
import { untilPasses } from '../harness/notarised-fleet.ts';
import { replicaProcess } from '../harness/replica-process.ts';
import { placesOf } from './support/counted-fleet.ts';
import { CODE } from './support/draft.ts';
import { type OwnFleet, startOwnFleet } from './support/own-fleet.ts';
import { refusalOf } from './support/refusals.ts';
import { World } from './support/world.ts';

// The operator's procedure of docs/OPERATIONS.md, "Move a replica to another token", step by step: replica 2 loses its token.

let own: OwnFleet;
/** Replica 2 as it is with its second token: configuration, PIN, guard. */
let second: ReplicaPlace;
let moved: ManagedProcess;
let heirFile: string;
let bequestFile: string;

const PATIENCE = 120_000; // many processes, one after another

const policy = { limit: 9, coolDownMs: 0 };
const backupKeys = Object.fromEntries(['early', 'later'].map((id) => [id, new SecretBytes(randomBytes(32))]));

const environmentOf = ({ directory }: ReplicaPlace) => ({ SOFTHSM2_CONF: join(directory, 'softhsm2.conf') });

async function bkvctl(place: ReplicaPlace, ...args: string[]): Promise<Record<string, unknown>> {
  const program = [join(packageRoot, 'dist/cli/main.js'), '--json', ...args, '--config', place.config];
  const env = { ...process.env, ...environmentOf(place) };
  const { stdout } = await promisify(execFile)(process.execPath, program, { env }).catch((error: { stdout: string }) => error);
  return JSON.parse(stdout);
}

/** What the statement says of a replica, as a command of bkvctl prints it. */
async function reading(place: ReplicaPlace, ...command: string[]) {
  const { mechanisms: _unstated, ...stated } = await readTokenInChild([...command, '--config', place.config], environmentOf(place));
  return stated;
}

const keep = (place: ReplicaPlace, epoch: number) =>
  reading(place, 'replica', 'provision', '--keep-keys', '--fleet', place.fleet, '--epoch', String(epoch));

/** The next statement, in which replica 2 says what `ofSecond` prints. */
const restate = (guardsLost: number[], ofSecond: (place: ReplicaPlace, epoch: number) => ReturnType<typeof reading>) =>
  restateFleet(own.fleet.directory, {
    storeRestored: false,
    guardsLost,
    rotate: (place, epoch) => (place.index === 2 ? ofSecond(place, epoch) : keep(place, epoch)),
  });

async function withDevice<T>(work: (vault: ReturnType<World['device']>) => Promise<T>): Promise<T> {
  const world = await World.open(placesOf(own.fleet));
  try {
    return await work(world.device());
  } finally {
    world.close();
  }
}

const enrol = (recordId: string) =>
  withDevice((vault) => vault.enroll({ recordId, code: CODE, backupKey: backupKeys[recordId] as SecretBytes, policy }));

const expectRecovers = (recordId: string, renew = false) =>
  withDevice(async (vault) => {
    const recovered = await vault.recover({ recordId, code: CODE, renew });
    expect(recovered.backupKey.expose()).toEqual(backupKeys[recordId]?.expose());
    return recovered;
  });

const each = (work: (process: ManagedProcess) => Promise<void>, ...indices: number[]) =>
  Promise.all(indices.map((index) => work(own.fleet.replica(index).process)));

beforeAll(async () => {
  own = await startOwnFleet();
  await enrol('early');
  const { place } = own.fleet.replica(2);
  const directory = makeDirectory(join(own.fleet.directory, 'heir-of-2'));
  makeSoftHsmDirectory(directory, join(packageRoot, 'softhsm/softhsm2.conf'));
  const soPinFile = writeNew(join(directory, 'so-pin'), 'officer-pin-of-the-heir', SECRET);
  const token = { profile: 'softhsm2', label: 'harness-2-b', pin_file: writeNew(join(directory, 'pin'), 'user-pin-of-the-heir', SECRET) };
  const config = { ...parse(readFileSync(place.config, 'utf8')), token, guard: join(directory, 'guard') };
  second = { ...place, directory, soPinFile, config: writeNew(join(place.directory, 'second.yaml'), stringify(config), PUBLIC) };
  moved = replicaProcess(second, own.fleet.clientFile);
  [heirFile, bequestFile] = [join(directory, 'heir.json'), join(directory, 'bequest.json')];
});

afterAll(async () => {
  await moved?.stop();
  await own?.stop();
}, PATIENCE);

test(
  'a second token waits for copies, and a rotation gives them to it',
  async () => {
    const heir = await bkvctl(
      second,
      'keys',
      'heir',
      '--fleet',
      'harness',
      '--init-token',
      '--so-pin-file',
      second.soPinFile,
      '--out',
      heirFile,
    );
    expect(heir).toMatchObject({ replica: 2, heir_hash: expect.stringMatching(/^[0-9a-f]{64}$/) });
    const { document } = await restate([], (place, epoch) => {
      const copies = ['--heir', heirFile, '--bequest', bequestFile];
      return reading(place, 'keys', 'rotate', '--epoch', String(epoch), '--so-pin-file', place.soPinFile, ...copies);
    });
    const couldLeave = Object.entries(document.replicas[1]?.key_attributes ?? {}).filter(([, { neverExtractable }]) => !neverExtractable);
    expect(couldLeave.map(([name]) => name).sort()).toEqual(['kek-auth', 'kek-oprf', 'kek-release', 'mac']); // for everybody to see
  },
  PATIENCE,
);

test(
  'the second token takes them in, while the first one serves with them',
  async () => {
    await each((process) => process.stop(), 1, 2, 3);
    await each((process) => process.start(), 1, 2, 3);
    await enrol('later');
    expect(await bkvctl(second, 'keys', 'inherit', '--bequest', bequestFile)).toMatchObject({ replica: 2, set: 2 });
    expect(await bkvctl(second, 'keys', 'inherit', '--bequest', bequestFile)).toMatchObject({ error: { code: 'KEY_MISSING' } });
  },
  PATIENCE,
);

test(
  'when the first token is lost, the second one takes over',
  async () => {
    await each((process) => process.stop(), 1, 2, 3);
    rmSync(join(own.fleet.replica(2).place.directory, 'tokens'), { recursive: true });
    await restate([2], (_place, epoch) => {
      const fresh = ['--epoch', String(epoch), '--guard-incarnation', '2', '--so-pin-file', second.soPinFile];
      return reading(second, 'replica', 'provision', '--fleet', 'harness', ...fresh);
    });
    await each((process) => process.start(), 1, 3);
    expect(await bkvctl(second, 'guard', 'rebuild')).toMatchObject({ rebuilt: 2, left: 0 });
    await moved.start();
    expect(moved.logTail(50)).toContain('"keySets":[2,3]');
  },
  PATIENCE,
);

test(
  'and serves what was stored since it was given copies, at once',
  async () => {
    await each((process) => process.kill(), 3);
    await expectRecovers('later');
    // Which of the two says so depends on who coordinates.
    expect(await withDevice((vault) => refusalOf(vault.recover({ recordId: 'early', code: CODE })))).toMatch(
      /^(KEY_MISSING|NOT_ENOUGH_REPLICAS)$/,
    );
    await each((process) => process.start(), 3);
  },
  PATIENCE,
);

test(
  'what is older is served by the others, and by all once it is enrolled again',
  async () => {
    await untilPasses(() => expectRecovers('early')); // here and below: a replica that was started is reached again a moment later
    expect((await untilPasses(() => enrol('early'))).holders).toEqual([1, 2, 3]);
    await untilPasses(async () => {
      const { renewal } = await expectRecovers('later', true);
      expect(renewal).toMatchObject({ state: 'renewed', result: { epoch: 3, holders: [1, 2, 3] } });
    });
    await each((process) => process.kill(), 3);
    for (const recordId of ['early', 'later']) await expectRecovers(recordId);
    await each((process) => process.start(), 3);
  },
  PATIENCE,
);

test(
  'then inherited keys are destroyed as any others',
  async () => {
    await moved.stop();
    expect(await bkvctl(second, 'keys', 'list')).toMatchObject({ sets: [{ set: 2, keys: 'storage', needed: { live: 0 } }, { set: 3 }] });
    expect(await bkvctl(second, 'keys', 'destroy', '--epoch', '3')).toMatchObject({ destroyed: [2] });
    await moved.start();
    for (const recordId of ['early', 'later']) await untilPasses(() => expectRecovers(recordId));
  },
  PATIENCE,
);
