import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { packageRoot } from '../../primitives/package-root.ts';

// FAULT_SECONDS: how long things go wrong. Unless told, as long as `make faults` takes by default.
const seconds = process.env.FAULT_SECONDS;

test('no promise is broken while everything goes wrong', { timeout: 45 * 60_000 }, async () => {
  const program = join(packageRoot, 'dist/test/fault/main.js');
  const child = spawn(process.execPath, [program, ...(seconds ? ['--seconds', seconds] : [])], { stdio: 'inherit' });
  onTestFinished(() => void child.kill('SIGKILL'));
  expect(await once(child, 'exit')).toEqual([0, null]);
});
