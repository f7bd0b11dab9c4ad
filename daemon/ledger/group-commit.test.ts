import { expect, it } from 'vitest';
import { GroupCommit } from './group-commit.ts';

/** Runs that end when they are told to. */
function held() {
  const runs: { end: () => void; fail: (error: Error) => void }[] = [];
  const shared = new GroupCommit<never>(() => new Promise((end, fail) => void runs.push({ end, fail })));
  return { runs, shared };
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

it('those who wait share the next run, which begins when the one under way has ended', async () => {
  const { runs, shared } = held();
  const first = shared.write([]);
  const others = [shared.write([]), shared.write([]), shared.write([])];
  await settled();
  expect(runs).toHaveLength(1);
  runs[0]?.end();
  await first;
  await settled();
  expect(runs).toHaveLength(2);
  runs[1]?.end();
  await Promise.all(others);
  expect(runs).toHaveLength(2);
});

it('a run that fails is told to those who asked for it, and to nobody else', async () => {
  const { runs, shared } = held();
  const first = shared.write([]);
  const second = shared.write([]);
  runs[0]?.fail(new Error('no'));
  await expect(first).rejects.toThrow('no');
  await settled();
  runs[1]?.end();
  await expect(second).resolves.toBeUndefined();
});

it('is idle once every run that was asked for has ended', async () => {
  const { runs, shared } = held();
  void shared.write([]);
  void shared.write([]);
  let isIdle = false;
  const idle = shared.idle().then(() => {
    isIdle = true;
  });
  runs[0]?.end();
  await settled();
  expect(isIdle).toBe(false);
  runs[1]?.end();
  await idle;
});
