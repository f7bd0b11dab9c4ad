import { afterAll, beforeAll, expect, test } from 'vitest';
import { utf8 } from '../../primitives/bytes.ts';
import { CODE, type Draft, enrolled } from './support/draft.ts';
import { eventually } from './support/eventually.ts';
import { type OwnFleet, startOwnFleet } from './support/own-fleet.ts';
import { refusalOf } from './support/refusals.ts';

// What its owner keeps beside a record, in the guards.

let own: OwnFleet;

beforeAll(async () => {
  own = await startOwnFleet({ etcdMembers: 1, settings: { sweep_interval_ms: 200 } });
});

afterAll(() => own?.stop());

const put = ({ recordId, backupKey }: Draft, content: string, counter: bigint) =>
  own.world.device().putList({ recordId, backupKey, content: utf8(content), counter });

async function read(recordId: string): Promise<string> {
  try {
    const { list } = await own.world.device().list(recordId);
    return list ? `${list.counter} ${new TextDecoder().decode(list.content)}` : 'none';
  } catch {
    return 'no answer';
  }
}

test('is read by a device that has neither code nor key, and stays where the code is changed', async () => {
  const draft = await enrolled(own.world, 'doors');
  expect(await read('doors')).toBe('none');
  expect((await put(draft, 'a door', 1n)).length).toBeGreaterThanOrEqual(2);
  expect(await read('doors')).toBe('1 a door');
  const { backupKey } = draft;
  await own.world.device().enroll({ recordId: 'doors', code: 'another horse', backupKey, policy: { limit: 3, coolDownMs: 0 } });
  expect(await read('doors')).toBe('1 a door');
  expect(await refusalOf(put(draft, 'a stale one', 1n))).toBe('LIST_OUTDATED');
});

test('the newest is read where a replica was away when it was written, and that one gets it with the next generation', async () => {
  const draft = await enrolled(own.world, 'late');
  await put(draft, 'a door', 1n);
  const third = own.fleet.replica(3).process;
  await third.stop();
  expect(await put(draft, 'two doors', 2n)).toEqual([1, 2]);
  await third.start();
  expect(await eventually('2 two doors', () => read('late'))).toBe('2 two doors');
  const { backupKey } = draft;
  const enroll = () => own.world.device().enroll({ recordId: 'late', code: CODE, backupKey, policy: { limit: 3, coolDownMs: 0 } });
  expect(await eventually('1,2,3', async () => (await enroll()).holders.join())).toBe('1,2,3');
  const atThird = async () => {
    const { g } = await own.world.device().describe('late');
    const { listed } = await own.world.peer(3).calls.keepList({ rid: draft.rid, g, epoch: BigInt(own.world.statement.epoch) } as never);
    return listed?.list?.counter;
  };
  expect(await eventually(2n, atThird)).toBe(2n); // with a share of another replica's seed
});

test('goes with the record', async () => {
  const draft = await enrolled(own.world, 'gone');
  await put(draft, 'a door', 1n);
  await own.world.device().erase('gone');
  expect(await refusalOf(own.world.device().list('gone'))).toBe('RECORD_UNKNOWN');
  const again = await enrolled(own.world, 'gone', { previous: draft.g });
  expect(await read('gone')).toBe('none');
  expect((await put(again, 'another door', 1n)).length).toBeGreaterThanOrEqual(2);
});
