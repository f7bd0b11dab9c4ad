import { beforeEach, expect, test } from 'vitest';
import { encodePublished } from '../../fleet/verify/published-bundle.ts';
import { toHex } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import { InstantClock } from '../../test/harness/soft-client.ts';
import { SoftFleet } from '../../test/harness/soft-fleet.ts';
import { SoftNotary } from '../../test/harness/soft-notary.ts';
import type { Etcd } from '../ledger/etcd.ts';
import type { Events } from '../telemetry/events.ts';
import { Bundle } from './bundle.ts';

const clock = new InstantClock();
const { statement } = new SoftFleet();
let notary: SoftNotary;
let stored: Map<string, Uint8Array>;
let isAway: boolean;
let told: string[];
let bundle: Bundle;

beforeEach(async () => {
  notary = await SoftNotary.create(clock.now());
  notary.append(statement.bytes);
  [stored, isAway, told] = [new Map(), false, []];
  const read = async (key: string) => {
    if (isAway) throw new VaultError('STORE_UNAVAILABLE', 'away');
    const value = stored.get(key);
    return [value && { value, modRevision: '1' }];
  };
  const events = {
    bundleTaken: (treeSize: number) => told.push(`taken ${treeSize}`),
    bundleRefused: (why: string) => told.push(why),
  };
  bundle = new Bundle({ read } as unknown as Etcd, { statement, interval: 1000, clock, events: events as unknown as Events });
});

const put = (published = notary.publish(statement.bytes, clock.now())) =>
  stored.set(`b/${toHex(statement.hash)}`, encodePublished(published));

test('a fleet without a bundle hands out none, and that is no event', async () => {
  await bundle.look();
  expect({ current: bundle.current, told }).toEqual({ current: undefined, told: [] });
});

test('what is published is handed out, until something newer is', async () => {
  put();
  await bundle.look();
  expect(bundle.current?.treeSize).toBe(1);
  notary.append(new SoftFleet().statement.bytes);
  put();
  await bundle.look();
  await bundle.look();
  expect(bundle.current?.treeSize).toBe(2);
  expect(told).toEqual(['taken 1', 'taken 2']);
});

test('without etcd the last one is handed out', async () => {
  put();
  await bundle.look();
  isAway = true;
  await bundle.look();
  expect(bundle.current?.treeSize).toBe(1);
});

test('the bundle of another statement is not handed out, wherever it lies', async () => {
  const other = new SoftFleet({ epoch: 2 }).statement;
  notary.append(other.bytes);
  put(notary.publish(other.bytes, clock.now()));
  await bundle.look();
  expect(bundle.current).toBeUndefined();
  expect(told[0]).toContain('not the statement');
});

test('one that was replaced by rubbish, or taken away, is not handed out any more', async () => {
  put();
  await bundle.look();
  stored.set(`b/${toHex(statement.hash)}`, new Uint8Array(300_000));
  await bundle.look();
  expect(bundle.current).toBeUndefined();
  put();
  await bundle.look();
  expect(bundle.current).toBeDefined();
  stored.clear();
  await bundle.look();
  expect(bundle.current).toBeUndefined();
});
