import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { packageRoot } from '../../primitives/package-root.ts';
import type { MemoryResult } from './ratios.ts';

/** In a process of its own (memory.ts). */
export async function benchMemory(evaluations: number): Promise<MemoryResult> {
  const program = join(packageRoot, 'dist/test/bench/memory.js');
  const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', program, '--evaluations', `${evaluations}`]);
  return JSON.parse(stdout) as MemoryResult;
}
