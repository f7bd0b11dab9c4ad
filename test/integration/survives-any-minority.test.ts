import { randomBytes } from '@noble/hashes/utils.js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { SecretBytes } from '../../primitives/secret-bytes.ts';
import { CODE } from './support/draft.ts';
import { eventually } from './support/eventually.ts';
import { type OwnFleet, startOwnFleet } from './support/own-fleet.ts';
import { refusalOf } from './support/refusals.ts';

let own: OwnFleet;

beforeAll(async () => {
  own = await startOwnFleet();
});

afterAll(() => own?.stop());

const policy = { limit: 5, coolDownMs: 0 };
const newKey = () => new SecretBytes(randomBytes(32));

test('recovers with a replica dead, then with an etcd member dead as well', async () => {
  const { fleet, world } = own;
  const device = world.device();
  const backupKey = newKey();
  await device.enroll({ recordId: 'minority', code: CODE, backupKey, policy });
  const recover = async () => (await device.recover({ recordId: 'minority', code: CODE, renew: false })).backupKey.expose();

  await fleet.replica(1).process.kill(); // the one that devices ask first
  expect(await recover()).toEqual(backupKey.expose());
  const [member] = fleet.etcd.members;
  await member?.kill();
  expect(await recover()).toEqual(backupKey.expose());
  await expect(device.recover({ recordId: 'minority', code: 'wrong', renew: false })).rejects.toMatchObject({ code: 'WRONG_CODE' });
  expect((await device.describe('minority')).attemptsUsed).toBe(3);

  await Promise.all([fleet.replica(1).process.start(), member?.start()]);
});

test('enrols and recovers with a replica frozen, whose connections stand and say nothing', async () => {
  const { fleet, world } = own;
  const device = world.device();
  const backupKey = newKey();
  fleet.replica(2).process.pause();
  expect((await device.enroll({ recordId: 'frozen', code: CODE, backupKey, policy })).holders).toEqual([1, 3]);
  const recovered = await device.recover({ recordId: 'frozen', code: CODE, renew: false });
  expect(recovered.backupKey.expose()).toEqual(backupKey.expose());
  fleet.replica(2).process.resume();
});

test('enrols with a replica dead, which holds a share again after the next enrolment', async () => {
  const { fleet, world } = own;
  const device = world.device();
  const backupKey = newKey();
  await fleet.replica(3).process.kill();
  expect((await device.enroll({ recordId: 'repaired', code: CODE, backupKey, policy })).holders).toEqual([1, 2]);
  expect((await device.recover({ recordId: 'repaired', code: CODE, renew: false })).backupKey.expose()).toEqual(backupKey.expose());

  await fleet.replica(3).process.start();
  // The others may take a second to connect to it again.
  const renewed = async () => (await device.enroll({ recordId: 'repaired', code: CODE, backupKey, policy })).holders.join();
  expect(await eventually('1,2,3', renewed)).toBe('1,2,3');

  await fleet.replica(1).process.kill(); // now it is needed
  expect((await device.recover({ recordId: 'repaired', code: CODE, renew: false })).backupKey.expose()).toEqual(backupKey.expose());
  await fleet.replica(1).process.start();
});

test('refuses, and spends nothing, without a majority of etcd; afterwards the same bytes succeed', async () => {
  const { fleet, world } = own;
  const device = world.device();
  const backupKey = newKey();
  await device.enroll({ recordId: 'no-majority', code: CODE, backupKey, policy });
  const [first, second] = fleet.etcd.members;
  for (const member of [first, second]) member?.pause();
  expect(await refusalOf(device.recover({ recordId: 'no-majority', code: CODE, renew: false }))).toBe('STORE_UNAVAILABLE');
  for (const member of [first, second]) member?.resume();
  // They may take a while to elect a leader.
  expect(await eventually(0, async () => (await device.describe('no-majority').catch(() => undefined))?.attemptsUsed)).toBe(0);
  const recovered = await device.recover({ recordId: 'no-majority', code: CODE, renew: false });
  expect(recovered.backupKey.expose()).toEqual(backupKey.expose());
  expect(recovered.attempt).toBe(1);
});
