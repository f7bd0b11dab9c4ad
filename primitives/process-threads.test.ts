import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { PATIENCE } from '../test/harness/patience.ts';
import { reapProcess, scratchDirectory } from '../test/harness/reaper.ts';
import { threadsOf } from './process-threads.ts';

test('of a process that waits for a file lock it says so, and who has it', async () => {
  const file = join(scratchDirectory('locks'), 'file');
  const locking = () => {
    const child = spawn('flock', ['--no-fork', file, 'sleep', '3600'], { stdio: 'ignore' });
    reapProcess(child);
    return child.pid as number;
  };
  const seen = (pid: number) => vi.waitFor(() => expect(threadsOf(pid)).toMatch(/^sleep:S:\d+/), PATIENCE);
  const holder = locking();
  await seen(holder);
  expect(threadsOf(holder)).not.toContain('lock');
  const waiting = locking();
  await vi.waitFor(() => expect(threadsOf(waiting)).toContain(`waits for a file lock of process ${holder}`), PATIENCE);
  expect(threadsOf(waiting)).toMatch(/^flock:S:\d+\(0x[0-9a-f]+\)@/);
  process.kill(holder, 'SIGKILL');
  await seen(waiting);
  process.kill(waiting, 'SIGKILL');
});
