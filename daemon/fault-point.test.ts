import { afterEach, beforeEach, expect, test, vi } from 'vitest';

const kill = vi.spyOn(process, 'kill').mockReturnValue(true);

beforeEach(() => {
  vi.resetModules();
  vi.spyOn(process.stderr, 'write').mockReturnValue(true);
});

afterEach(() => {
  vi.unstubAllEnvs();
  kill.mockClear();
});

const load = async (value: string | undefined) => {
  vi.stubEnv('BKVD_FAULT_POINT', value);
  return (await import('./fault-point.ts')).faultPoint;
};

test('nothing happens unless the environment says so', async () => {
  const faultPoint = await load(undefined);
  faultPoint('before-commit');
  expect(kill).not.toHaveBeenCalled();
});

test('the process kills itself at the point named, the n-th time', async () => {
  const faultPoint = await load('after-commit:2');
  faultPoint('after-commit');
  faultPoint('before-commit');
  expect(kill).not.toHaveBeenCalled();
  faultPoint('after-commit');
  expect(kill).toHaveBeenCalledWith(process.pid, 'SIGKILL');
});
