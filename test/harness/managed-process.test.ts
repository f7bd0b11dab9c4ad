import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ManagedProcess } from './managed-process.ts';
import { scratchDirectory } from './reaper.ts';

const TEMPORARY = 69;

const KILL = -1;

/** Exits with these codes, or kills itself, one at each start, then stays. */
function exiting(...codes: number[]) {
  const directory = scratchDirectory('managed');
  const [logFile, starts] = [join(directory, 'log'), join(directory, 'starts')];
  const script = `
    const { appendFileSync, readFileSync } = require('node:fs');
    appendFileSync('${starts}', '.');
    const code = ${JSON.stringify(codes)}[readFileSync('${starts}').length - 1];
    if (code === ${KILL}) process.kill(process.pid, 'SIGKILL');
    else if (code !== undefined) process.exit(code);
    setInterval(() => {}, 1000);`;
  const started = () => (existsSync(starts) ? readFileSync(starts).length : 0);
  appendFileSync(logFile, '');
  const ready = async () => started() > codes.length;
  const command = { name: 'exiting', program: process.execPath, args: ['-e', script], logFile, ready, temporary: TEMPORARY };
  return { command, managed: new ManagedProcess(command), started };
}

test('is started again where a supervisor would do that, until it is ready', async () => {
  const { managed, started } = exiting(TEMPORARY, KILL);
  await managed.start();
  expect(started()).toBe(3);
  expect(managed.running).toBe(true);
  await managed.kill();
});

test.each([0, 1, 78])('is not started again where it exits with %i', async (code) => {
  const { managed, started } = exiting(code);
  await expect(managed.start()).rejects.toThrow('exited at its start');
  expect(started()).toBe(1);
});

test('says of what does not become ready what can be seen of it', async () => {
  const { command } = exiting();
  const managed = new ManagedProcess({ ...command, ready: async () => false, explain: async () => 'NOT_SERVING: no reason' });
  await expect(managed.start(300)).rejects.toThrow(
    /^exiting is not ready after 300 ms \(NOT_SERVING: no reason; \d+ ms of CPU used, threads .*node:S:\d+.*\):/,
  );
  await managed.kill();
});
