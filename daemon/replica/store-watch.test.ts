import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { systemClock } from '../../primitives/clock.ts';
import type { Member } from '../ledger/etcd-fault.ts';
import { StoreWatch } from './store-watch.ts';

const leads: Member = { answers: true, hasLeader: true, bytes: 1 };
const silent: Member = { answers: false, fault: 'unreachable' };
const DEADLINE = 700;

const rehearse = vi.fn<() => Promise<void>>();
const members = vi.fn<() => Promise<Member[]>>();
let watch: StoreWatch;

const atDeadline = async () => {
  await systemClock.sleep(DEADLINE);
  throw new Error('4 DEADLINE_EXCEEDED');
};

beforeEach(() => {
  vi.useFakeTimers();
  vi.resetAllMocks();
  watch = new StoreWatch({ rehearse, members }, systemClock);
  watch.start();
});

afterEach(async () => {
  const stopped = watch.stop();
  await vi.advanceTimersByTimeAsync(2000);
  await stopped;
  vi.useRealTimers();
});

it('says within five seconds that the majority is lost, and that it is back', async () => {
  await vi.advanceTimersByTimeAsync(1500);
  rehearse.mockImplementation(atDeadline);
  members.mockResolvedValue([leads, silent, silent]);
  await vi.advanceTimersByTimeAsync(4000); // the replica looks twice a second
  expect(watch.fault()).toBe('no_quorum');
  rehearse.mockResolvedValue();
  await vi.advanceTimersByTimeAsync(1000);
  expect(watch.fault()).toBeUndefined();
});

it('is silent about an election', async () => {
  await vi.advanceTimersByTimeAsync(1500);
  rehearse.mockImplementation(atDeadline);
  members.mockResolvedValue([leads, leads, silent]);
  for (let i = 0; i < 10; i++) {
    await vi.advanceTimersByTimeAsync(200);
    expect(watch.fault()).toBeUndefined();
  }
  rehearse.mockResolvedValue();
  await vi.advanceTimersByTimeAsync(1000);
  expect(watch.fault()).toBeUndefined();
});

it('is silent about one member that hangs, although every third request meets it', async () => {
  let i = 0;
  rehearse.mockImplementation(() => (i++ % 3 > 0 ? atDeadline() : Promise.resolve())); // two in a row are enough for the breaker
  members.mockResolvedValue([leads, leads, silent]);
  for (let at = 0; at < 20_000; at += 100) {
    await vi.advanceTimersByTimeAsync(100);
    expect(watch.fault()).toBeUndefined();
  }
});

it('says at once what etcd says of itself', async () => {
  rehearse.mockRejectedValue(new Error('8 RESOURCE_EXHAUSTED: etcdserver: mvcc: database space exceeded'));
  await vi.advanceTimersByTimeAsync(1100);
  expect(watch.fault()).toBe('no_space');
});
