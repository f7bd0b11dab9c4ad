import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { randomBytes } from '@noble/hashes/utils.js';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { renderShown, type Shown } from '../../daemon/ledger/guarded.ts';
import type { TokenPort } from '../../daemon/token/port.ts';
import { packageRoot } from '../../primitives/package-root.ts';
import { SecretBytes } from '../../primitives/secret-bytes.ts';
import { BodySchema, ShownGenerationSchema } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { CountedSchema, type RecallResponse, RecallResponseSchema } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import { parseBody } from '../../protocol/body.ts';
import { preparedTranscript } from '../../protocol/transcripts.ts';
import { placesOf } from '../integration/support/counted-fleet.ts';
import { CODE } from '../integration/support/draft.ts';
import { eventually } from '../integration/support/eventually.ts';
import { type OwnFleet, startOwnFleet } from '../integration/support/own-fleet.ts';
import { refusalOf } from '../integration/support/refusals.ts';
import { openStolenTokens } from '../integration/support/stolen-token.ts';
import { World } from '../integration/support/world.ts';
import { type Liar, lieAs, silence } from './lying-peer.ts';

// After etcd was restored, coordinators ask the guards what they remember. As many replicas as may lie are hostile, sign whatever they like, and remember
// what they like.

const bkvctl = (...args: string[]): string => execFileSync(process.execPath, [join(packageRoot, 'dist/cli/main.js'), ...args]).toString();
const RECORDS = ['exhausts', 'brings back', 'numbers', 'invents'];
const idOf = (name: string) => name.replaceAll(' ', '-');
const OTHER = 'another code';
const limit = 4;

describe.each([
  { replicas: 3, hostile: [3] },
  { replicas: 5, hostile: [4, 5] },
])('of $replicas replicas, $hostile', ({ replicas, hostile }) => {
  const honest = Array.from({ length: replicas - hostile.length }, (_, i) => i + 1);
  const all = [...honest, ...hostile].join();
  let own: OwnFleet;
  let liars: Liar[] = [];
  /** What a hostile replica recalls of any record. */
  let recalled: () => RecallResponse;
  const records = new Map<string, Shown>();

  /** What etcd names, with what all signed of it. */
  async function recordOf(recordId: string): Promise<Shown> {
    const shown = await own.world.committed(own.world.rid(recordId));
    const by = shown.prepared.map(({ index }) => index);
    expect(by.sort().join()).toBe(all);
    return shown;
  }

  beforeAll(async () => {
    own = await startOwnFleet({ replicas, etcdMembers: 1 });
    const device = own.world.device();
    const enroll = async (recordId: string, code: string, backupKey: SecretBytes) =>
      (await device.enroll({ recordId, code, backupKey, policy: { limit, coolDownMs: 0 } })).holders.join();
    for (const recordId of RECORDS.map(idOf)) {
      const backupKey = new SecretBytes(randomBytes(32));
      expect(await eventually(all, () => enroll(recordId, OTHER, backupKey))).toBe(all);
      records.set(recordId, await recordOf(recordId)); // the generation before
      expect(await eventually(all, () => enroll(recordId, CODE, backupKey))).toBe(all);
      expect(await refusalOf(device.recover({ recordId, code: 'a wrong code' }))).toBe('WRONG_CODE');
    }
    await Promise.all(own.fleet.replicas.map(({ process }) => process.stop()));
    bkvctl('fleet', 'restate', '--dir', own.fleet.directory, '--store-restored');
    const answers = () => ({ ...silence, recall: async () => recalled() });
    liars = await Promise.all(hostile.map((index) => lieAs(placesOf(own.fleet), index, { name: 'recalls', answers })));
    await Promise.all(honest.map((index) => own.fleet.replica(index).process.start()));
  });

  afterAll(async () => {
    for (const { end } of liars) end();
    await own?.stop();
  });

  afterEach(() => {
    for (const liar of liars) expect(liar.asked()).toBeGreaterThan(0);
  });

  const counted = (attempt: number) => create(CountedSchema, { attempt, point: { hash: randomBytes(32), grant: 'granted' }, atMs: 1n });

  /** The others agree with the liars that these hold a copy, and with each other on all else. */
  async function expectUnharmed(recordId: string): Promise<void> {
    const world = await World.open(placesOf(own.fleet));
    try {
      const device = world.device();
      expect(await device.describe(recordId)).toMatchObject({ state: 'live', attemptsUsed: 1, attemptsLimit: limit });
      const { attempt, backupKey } = await device.recover({ recordId, code: CODE, renew: false });
      expect(attempt).toBe(2);
      const replacement = { recordId, code: OTHER, backupKey, policy: { limit, coolDownMs: 0 }, allowFewerHolders: true };
      expect((await device.enroll(replacement)).holders).toEqual(honest);
      expect((await world.store.attempts(world.rid(recordId)))?.number).toBe(3n);
    } finally {
      world.close();
    }
  }

  test('exhaust no record: what they say they counted is not granted', async () => {
    const recordId = idOf('exhausts');
    const record = await recordOf(recordId);
    const attempts = Array.from({ length: limit }, (_, i) => counted(i + 1));
    recalled = () => create(RecallResponseSchema, { live: renderShown(record), counted: attempts });
    await expectUnharmed(recordId);
  });

  test('bring no older generation back', async () => {
    const recordId = idOf('brings back');
    recalled = () => create(RecallResponseSchema, { live: renderShown(records.get(recordId) as Shown) });
    await expectUnharmed(recordId);
  });

  test('raise no number: what they number higher is not what t prepared', async () => {
    const recordId = idOf('numbers');
    const record = await recordOf(recordId);
    const body = create(BodySchema, { ...record.body, number: (1n << 63n) - 1n });
    recalled = () => create(RecallResponseSchema, { live: { ...renderShown(record), body } });
    await expectUnharmed(recordId);
  });

  test('invent no generation, though all of them sign that they prepared it', async () => {
    const recordId = idOf('invents');
    const record = await recordOf(recordId);
    const forgery = await forge(record);
    recalled = () => create(RecallResponseSchema, { live: forgery });
    await expectUnharmed(recordId);
  });

  /** What comes next in the record's line, by nobody's code: as each of them shows it, with what their tokens sign. */
  async function forge({ body: current }: Shown) {
    const { fleet, epoch } = own.world.statement;
    const body = create(BodySchema, { ...current, g: randomBytes(16), previous: current.g, number: 3n });
    const { bodyHash } = parseBody(body);
    const tokens = await openStolenTokens(own.world, hostile);
    const sign = async (index: number, i: number) => {
      const view = { fleet, epoch, index, rid: body.rid, g: body.g };
      const signature = await (tokens[i] as TokenPort).sign(preparedTranscript(view, body.previous, bodyHash).digest);
      return { index, signature };
    };
    const prepared = await Promise.all(hostile.map(sign));
    await Promise.all(tokens.map((token) => token.close()));
    return create(ShownGenerationSchema, { body, prepared });
  }
});
