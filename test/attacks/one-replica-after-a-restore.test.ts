import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { randomBytes } from '@noble/hashes/utils.js';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { packageRoot } from '../../primitives/package-root.ts';
import { SecretBytes } from '../../primitives/secret-bytes.ts';
import { type Body, BodySchema, GenerationSchema, type Record as StoredRecord } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { CountedSchema, type RecallResponse, RecallResponseSchema } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import { placesOf } from '../integration/support/counted-fleet.ts';
import { CODE } from '../integration/support/draft.ts';
import { eventually } from '../integration/support/eventually.ts';
import { type OwnFleet, startOwnFleet } from '../integration/support/own-fleet.ts';
import { refusalOf } from '../integration/support/refusals.ts';
import { World } from '../integration/support/world.ts';
import { type Liar, lieAs, silence } from './lying-peer.ts';

// After etcd was restored, coordinators ask the guards what they remember. One of three replicas is hostile, and remembers what it likes.

let own: OwnFleet;
let liar: Liar;
/** What replica 3 recalls of any record. */
let recalled: RecallResponse;
const records = new Map<string, StoredRecord>();
const limit = 4;

const bkvctl = (...args: string[]): string => execFileSync(process.execPath, [join(packageRoot, 'dist/cli/main.js'), ...args]).toString();
const RECORDS = ['exhausts', 'brings back', 'numbers', 'invents'];
const idOf = (name: string) => name.replaceAll(' ', '-');
const OTHER = 'another code';

const recordOf = async (recordId: string) => (await own.world.store.record(own.world.rid(recordId))) as StoredRecord;

beforeAll(async () => {
  own = await startOwnFleet({ etcdMembers: 1 });
  const device = own.world.device();
  const enroll = (recordId: string, code: string, backupKey: SecretBytes) =>
    device.enroll({ recordId, code, backupKey, policy: { limit, coolDownMs: 0 } });
  const all = async (recordId: string, code: string, key: SecretBytes) => (await enroll(recordId, code, key)).holders.join();
  for (const recordId of RECORDS.map(idOf)) {
    const backupKey = new SecretBytes(randomBytes(32));
    expect(await eventually('1,2,3', () => all(recordId, OTHER, backupKey))).toBe('1,2,3');
    records.set(recordId, await recordOf(recordId)); // the generation before
    expect(await eventually('1,2,3', () => all(recordId, CODE, backupKey))).toBe('1,2,3');
    expect(await refusalOf(device.recover({ recordId, code: 'a wrong code' }))).toBe('WRONG_CODE');
  }
  await Promise.all(own.fleet.replicas.map(({ process }) => process.stop()));
  bkvctl('fleet', 'restate', '--dir', own.fleet.directory, '--store-restored');
  liar = await lieAs(placesOf(own.fleet), 3, { name: 'recalls', answers: () => ({ ...silence, recall: async () => recalled }) });
  await Promise.all([1, 2].map((index) => own.fleet.replica(index).process.start()));
});

afterAll(async () => {
  liar?.end();
  await own?.stop();
});

afterEach(() => expect(liar.asked()).toBeGreaterThan(0));

/** A generation as replica 3 holds it, and what all signed of it. */
function held(record: StoredRecord) {
  const subRecord = record.subRecords.find(({ index }) => index === 3);
  const prepared = record.subRecords.map(({ index, signature }) => ({ index, signature }));
  const { body } = record as { body: Body };
  return { ...create(GenerationSchema, { body, ...(subRecord && { subRecord }), prepared, ticketSecret: new Uint8Array(8) }), body };
}

const counted = (attempt: number) => create(CountedSchema, { attempt, point: { hash: randomBytes(32), grant: 'granted' }, atMs: 1n });

/** Replica 1 and 2 agree with the liar that it holds a copy, and with each other on all else. */
async function expectUnharmed(recordId: string): Promise<void> {
  const world = await World.open(placesOf(own.fleet));
  try {
    const device = world.device();
    expect(await device.describe(recordId)).toMatchObject({ state: 'live', attemptsUsed: 1, attemptsLimit: limit });
    const { attempt, backupKey } = await device.recover({ recordId, code: CODE, renew: false });
    expect(attempt).toBe(2);
    expect(
      (await device.enroll({ recordId, code: OTHER, backupKey, policy: { limit, coolDownMs: 0 }, allowFewerHolders: true })).holders,
    ).toEqual([1, 2]);
    expect((await world.store.attempts(world.rid(recordId)))?.number).toBe(3n);
  } finally {
    world.close();
  }
}

test('it exhausts no record: what it says it counted is not granted', async () => {
  const recordId = idOf('exhausts');
  const live = held(await recordOf(recordId));
  recalled = create(RecallResponseSchema, { live, counted: Array.from({ length: limit }, (_, i) => counted(i + 1)) });
  await expectUnharmed(recordId);
});

test('it brings no older generation back', async () => {
  const recordId = idOf('brings back');
  recalled = create(RecallResponseSchema, { live: held(records.get(recordId) as StoredRecord) });
  await expectUnharmed(recordId);
});

test('it raises no number: what it numbers higher is not what t prepared', async () => {
  const recordId = idOf('numbers');
  const { body, ...generation } = held(await recordOf(recordId));
  const number = (1n << 63n) - 1n;
  recalled = create(RecallResponseSchema, { live: { ...generation, body: create(BodySchema, { ...body, number }) } });
  await expectUnharmed(recordId);
});

test('it invents no generation', async () => {
  const recordId = idOf('invents');
  const { body, prepared, ...generation } = held(await recordOf(recordId));
  const forged = create(BodySchema, { ...body, g: randomBytes(16), previous: body.g, number: 3n });
  const own = prepared.filter(({ index }) => index === 3); // its own it can sign, for whatever
  recalled = create(RecallResponseSchema, { live: { ...generation, body: forged, prepared: own } });
  await expectUnharmed(recordId);
});
