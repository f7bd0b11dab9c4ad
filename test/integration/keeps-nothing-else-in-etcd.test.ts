import { randomBytes } from '@noble/hashes/utils.js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { toHex } from '../../primitives/bytes.ts';
import { SecretBytes } from '../../primitives/secret-bytes.ts';
import { everyKey } from '../harness/etcdctl.ts';
import { publishBundle } from '../harness/notarised-fleet.ts';
import { SoftNotary } from '../harness/soft-notary.ts';
import { eventually } from './support/eventually.ts';
import { type OwnFleet, startOwnFleet } from './support/own-fleet.ts';
import { refusalOf } from './support/refusals.ts';

// The record lives in the guards. What etcd has besides the count, docs/PROTOCOL.md section 6 lists; here is all that is in it, whoever wrote it.

const [CODE, NEW_CODE] = ['correct horse', 'another horse battery'];
const LIMIT = 2;
const policy = { limit: LIMIT, coolDownMs: 0 };

let own: OwnFleet;

beforeAll(async () => {
  own = await startOwnFleet({ etcdMembers: 1, settings: { erase_grace_ms: 3_600_000, sweep_interval_ms: 200 } });
});

afterAll(() => own?.stop());

const keyOf = (kind: 'a' | 'x', recordId: string) => `${kind}/${toHex(own.world.rid(recordId))}`;

/** Of the fleet as it stands, whatever records there are. */
const always = () => ['meta/incarnation', ...own.fleet.replicas.map(({ place }) => `m/${place.index}`)];

async function expectKeys(...expected: string[]): Promise<void> {
  const all = [...always(), ...expected].map((key) => `/bkv/${own.fleet.statement.fleet}/${key}`).sort();
  const there = async () => everyKey(own.fleet.etcd).join('\n');
  expect(await eventually(all.join('\n'), there)).toBe(all.join('\n')); // members come one by one
}

test('etcd holds a count for each record, a mark of what is exhausted, and of the fleet its incarnation, members and bundle', async () => {
  const device = own.world.device();
  const backupKey = new SecretBytes(randomBytes(32));
  const enrol = (recordId: string, code: string) => device.enroll({ recordId, code, backupKey, policy });
  const guess = (recordId: string, n = 1) => refusalOf(device.recover({ recordId, code: `wrong code ${n}` }));
  const recover = async (recordId: string, code: string) => (await device.recover({ recordId, code })).renewal.state;
  await expectKeys();

  expect((await enrol('alice', CODE)).holders).toEqual([1, 2, 3]);
  const alice = keyOf('a', 'alice');
  await expectKeys(alice);
  expect(await guess('alice')).toBe('WRONG_CODE');
  expect(await recover('alice', CODE)).toBe('renewed');
  await expectKeys(alice);
  await enrol('alice', NEW_CODE);
  expect(await recover('alice', NEW_CODE)).toBe('renewed');
  await expectKeys(alice);

  for (const recordId of ['bob', 'carol']) {
    await enrol(recordId, CODE);
    for (let n = 1; n <= LIMIT; n++) expect(await guess(recordId, n)).toBe('WRONG_CODE');
    expect(await guess(recordId, LIMIT + 1)).toBe('EXHAUSTED');
  }
  const spent = ['bob', 'carol'].flatMap((recordId) => [keyOf('a', recordId), keyOf('x', recordId)]);
  await expectKeys(alice, ...spent);

  await device.erase('alice');
  await device.erase('carol');
  const after = [alice, keyOf('a', 'bob'), keyOf('x', 'bob'), keyOf('a', 'carol')];
  await expectKeys(...after);

  const { statement } = own.fleet;
  const notary = await SoftNotary.create(Date.now());
  notary.append(statement.bytes);
  publishBundle(own.fleet, notary, statement.bytes);
  await expectKeys(...after, `b/${toHex(statement.hash)}`);
});
