import { describe, expect, it, vi } from 'vitest';
import { uint64 } from '../../primitives/bytes.ts';
import { type Clock, systemClock } from '../../primitives/clock.ts';
import { VaultError } from '../../primitives/errors.ts';
import { RecordState } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { PATIENCE } from '../../test/harness/patience.ts';
import { SoftFleet } from '../../test/harness/soft-fleet.ts';
import type { Fleet } from './fleet.ts';
import { Housekeeping } from './housekeeping.ts';

const RECORDS = 1000;
const A_CALL = 5;
const rids = Array.from({ length: RECORDS }, (_, i) => uint64(i));

const bodyHash = new Uint8Array(32);
const exhausted = { state: RecordState.LIVE, g: new Uint8Array(16), bodyHash, points: [new Uint8Array(32)], limit: 1 };
const held = { body: { epoch: 1n, shares: [{ index: 2 }] }, bodyHash, prepared: [{ index: 2, signature: new Uint8Array(64) }] };

/** A replica that holds many records, and an etcd that takes its time for each call. */
function slowFleet(clock: Clock = systemClock) {
  const call = async <T>(answer: T): Promise<T> => {
    await systemClock.sleep(A_CALL);
    return answer;
  };
  const register = {
    read: vi.fn((_rid: Uint8Array): Promise<object | undefined> => call(undefined)),
    readCurrent: vi.fn(() => call(undefined)),
    exhausted: vi.fn(async () => rids.slice(0, 100).map((rid) => ({ rid, since: 0 }))),
    erased: vi.fn(async (limit: number, after?: Uint8Array) => {
      const from = after ? rids.findIndex((rid) => Buffer.compare(rid, after) > 0) : 0;
      const page = rids.slice(from, from + limit);
      return { erased: page.filter((rid) => rid[7] === 7), last: page.length === limit ? page.at(-1) : undefined };
    }),
  };
  const events = { settled: vi.fn(), sweepFailed: vi.fn(), undealt: vi.fn() };
  const guard = {
    read: async () => ({ live: held, prepared: [] }),
    rids: async function* () {
      yield* rids;
    },
    full: async function* () {},
    purge: vi.fn(async () => {}),
    oweDealsTo: vi.fn(async () => {}),
    undealt: async function* () {},
  };
  const spent = vi.fn(() => call({})); // nobody says so
  const show = vi.fn(async () => ({}));
  const { statement } = new SoftFleet();
  const vault = { register, guard, clock, statement, self: statement.replicas[0], eraseGrace: 0 };
  const fleet = { vault, events, participants: [{ index: 2, calls: { spent, show } }] } as unknown as Fleet;
  return { register, guard, events, spent, show, housekeeping: new Housekeeping(fleet, 1000) };
}

describe('stopping', () => {
  it('does not wait for the records of a settlement that are left', async () => {
    const { register, events, housekeeping } = slowFleet();
    housekeeping.start();
    await vi.waitFor(() => expect(register.read).toHaveBeenCalled(), PATIENCE);
    const begun = register.read.mock.calls.length;
    await housekeeping.stop();
    expect(register.read).toHaveBeenCalledTimes(begun);
    expect(events.settled).not.toHaveBeenCalled();
  });

  it('does not wait for the exhausted records of a sweep that are left', async () => {
    const { register, spent, housekeeping } = slowFleet();
    register.read.mockResolvedValue(exhausted);
    const sweep = housekeeping.sweep();
    await vi.waitFor(() => expect(spent).toHaveBeenCalled(), PATIENCE);
    const begun = spent.mock.calls.length;
    await housekeeping.stop();
    await sweep;
    expect(spent).toHaveBeenCalledTimes(begun);
    expect(register.readCurrent).not.toHaveBeenCalled();
  });
});

it('a record that etcd has as exhausted, and that nobody holds, is left alone and fails no sweep', async () => {
  const { register, spent, show, housekeeping } = slowFleet();
  register.exhausted.mockResolvedValueOnce([{ rid: rids[0] as Uint8Array<ArrayBuffer>, since: 0 }]);
  register.read.mockResolvedValueOnce({ ...exhausted, bodyHash: new Uint8Array(32).fill(9) }).mockResolvedValue(undefined);
  await housekeeping.sweep();
  expect(show).toHaveBeenCalledTimes(1);
  expect(spent).not.toHaveBeenCalled();
});

describe('what was erased behind the back of a replica that runs', () => {
  /** Settled since its start, and with nothing exhausted. */
  async function settled() {
    const parts = slowFleet();
    parts.register.exhausted.mockResolvedValue([]);
    parts.register.read.mockResolvedValue(undefined);
    parts.register.readCurrent.mockResolvedValue(undefined);
    await parts.housekeeping.sweep();
    expect(parts.events.settled).toHaveBeenCalledOnce();
    parts.register.read.mockClear();
    return parts;
  }

  it('is looked at by a sweep, and nothing else is', async () => {
    const { register, housekeeping } = await settled();
    await housekeeping.sweep();
    expect(register.read.mock.calls.map(([rid]) => rid[7])).toEqual([7, 7, 7, 7]); // 7, 263, 519, 775
  });

  it('is looked at again in the next round, however many records there are', async () => {
    const { register, housekeeping } = await settled();
    for (let i = 0; i < 3; i++) await housekeeping.sweep();
    expect(register.read).toHaveBeenCalledTimes(3 * 4);
  });

  it('is not held up by a record that fails', async () => {
    const { register, housekeeping } = await settled();
    register.read.mockRejectedValueOnce(new VaultError('STORE_CORRUPT', 'told to fail'));
    await expect(housekeeping.sweep()).rejects.toMatchObject({ code: 'STORE_CORRUPT' });
    expect(register.read).toHaveBeenCalledTimes(4);
  });
});

it('purges what the guard still owes, and says where it cannot', async () => {
  const { guard, register, housekeeping } = slowFleet();
  register.exhausted.mockResolvedValue([]);
  guard.purge.mockRejectedValueOnce(new VaultError('OUTCOME_UNKNOWN', 'the disk is full'));
  await expect(housekeeping.sweep()).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' });
  expect(register.read).toHaveBeenCalledTimes(RECORDS); // all else is done all the same
  await housekeeping.sweep();
  expect(guard.purge).toHaveBeenCalledTimes(2);
});

it('settles every record at the start, although the first one fails', async () => {
  const { register, housekeeping, events } = slowFleet();
  register.exhausted.mockResolvedValue([]);
  register.read.mockResolvedValue(undefined).mockRejectedValueOnce(new VaultError('STORE_CORRUPT', 'told to fail'));
  register.readCurrent.mockResolvedValue(undefined);
  await expect(housekeeping.sweep()).rejects.toMatchObject({ code: 'STORE_CORRUPT' });
  expect(register.read).toHaveBeenCalledTimes(RECORDS);
  expect(events.settled).toHaveBeenCalledExactlyOnceWith(1);
  await housekeeping.sweep(); // the one is tried again, beside what the round comes to
  expect(register.read).toHaveBeenCalledTimes(RECORDS + 1 + 4);
});

it('erases and settles what it can, although one record that is due fails', async () => {
  const { register, spent, housekeeping, events } = slowFleet();
  register.exhausted.mockResolvedValue(rids.slice(0, 3).map((rid) => ({ rid, since: 0 })));
  register.read.mockRejectedValueOnce(new VaultError('STORE_CORRUPT', 'told to fail'));
  for (let i = 0; i < 2; i++) register.read.mockResolvedValueOnce(exhausted);
  await expect(housekeeping.sweep()).rejects.toMatchObject({ code: 'STORE_CORRUPT' });
  expect(spent).toHaveBeenCalledTimes(2);
  expect(events.settled).toHaveBeenCalledOnce();
});
