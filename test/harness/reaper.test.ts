import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, test, vi } from 'vitest';
import { packageRoot } from '../../primitives/package-root.ts';
import { PATIENCE } from './patience.ts';

const script = `
  const { startEtcd } = await import(${JSON.stringify(join(packageRoot, 'dist/test/harness/etcd-cluster.js'))});
  const cluster = await startEtcd({ members: 1 });
  console.log(JSON.stringify({ pid: cluster.members[0].pid, directory: cluster.directory }));
  setInterval(() => {}, 1000);
`;

test('a test that is killed leaves no process and no file behind', async () => {
  const killed = spawn(process.execPath, ['--input-type=module', '--eval', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = await new Promise<string[]>((resolve) =>
    createInterface({ input: killed.stdout }).once('line', (text) => resolve([text])),
  );
  const { pid, directory } = JSON.parse(line as string) as { pid: number; directory: string };
  expect(isRunning(pid)).toBe(true);

  killed.kill('SIGKILL');
  await vi.waitFor(
    () => expect({ running: isRunning(pid), files: existsSync(directory) }).toEqual({ running: false, files: false }),
    PATIENCE,
  );
});

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
