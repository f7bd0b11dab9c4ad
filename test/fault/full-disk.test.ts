import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, expect, test } from 'vitest';
import { GuardStore } from '../../daemon/ledger/guard-store.ts';
import { packageRoot } from '../../primitives/package-root.ts';
import { scratchDirectory } from '../harness/reaper.ts';
import { compileDiskShim } from './disk.ts';
import { identity } from './writes-on-a-bad-disk.ts';

const directory = scratchDirectory('full-disk');

afterAll(() => rmSync(directory, { recursive: true, force: true }));

// LevelDB by itself loses what it acknowledges after a failed write.
test.each(['full', 'broken'])(
  'a guard whose disk was %s for a moment keeps what it acknowledged before and after, over a crash',
  async (fault) => {
    const guard = join(directory, fault);
    await GuardStore.create(guard, identity);
    const rid = randomBytes(32);
    const program = join(packageRoot, 'dist/test/fault/writes-on-a-bad-disk.js');
    const writing = promisify(execFile)(process.execPath, [program, guard, rid.toString('hex'), fault], {
      env: { ...process.env, LD_PRELOAD: compileDiskShim(directory), BKV_DISK: guard },
    });
    const { stdout, signal } = (await writing.catch((error: { stdout: string; signal: string }) => error)) as {
      stdout: string;
      signal?: string;
    };
    expect(signal).toBe('SIGKILL');
    const { acknowledged, refused } = JSON.parse(stdout) as { acknowledged: number[]; refused: number };
    expect(refused).toBeGreaterThan(0);
    expect(acknowledged.length).toBeGreaterThan(300);
    const store = await GuardStore.open(guard, identity);
    const { counted } = await store.read(rid);
    await store.close();
    expect(acknowledged.filter((attempt) => !counted.has(attempt))).toEqual([]);
  },
);
