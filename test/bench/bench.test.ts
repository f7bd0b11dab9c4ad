import { execFile } from 'node:child_process';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, expect, test } from 'vitest';
import { packageRoot } from '../../primitives/package-root.ts';
import { PATIENCE } from '../harness/patience.ts';
import { scratchDirectory } from '../harness/reaper.ts';
import type { Figure } from './figures.ts';
import type { Machine } from './machine.ts';

const directory = scratchDirectory('bench-test');

afterAll(() => rmSync(directory, { recursive: true, force: true }));

// What the figures are is nobody's promise on a machine that runs tests; that each is there and is one, is.
test('a quick run prints every figure, writes the same and leaves nothing behind', async () => {
  const output = join(directory, 'build', 'results.json');
  const program = join(packageRoot, 'dist/test/bench/main.js');
  const { stdout } = await promisify(execFile)(process.execPath, [program, '--quick', '--output', output], {
    env: { ...process.env, TMPDIR: directory },
  });
  const { machine, quick, figures } = JSON.parse(readFileSync(output, 'utf8')) as {
    machine: Machine;
    quick: boolean;
    figures: (Figure & { met?: boolean })[];
  };
  expect(quick).toBe(true);
  expect(machine).toMatchObject({ node: process.version, token: expect.stringContaining('SoftHSM'), etcd: expect.stringMatching(/^\d/) });
  expect(new Set(figures.map(({ id }) => id)).size).toBe(figures.length);
  for (const { name, value, aim, met } of figures) {
    expect(stdout, name).toContain(name);
    expect(value, name).toSatisfy(Number.isFinite);
    expect(met, name).toBe(aim === undefined ? undefined : value <= aim);
  }
  expect(figures.filter(({ aim }) => aim !== undefined).map(({ id }) => id)).toEqual([
    'port.throughput',
    'port.latency',
    'landed.evaluation',
    'landed.recovery',
    'sessions.short',
    'memory.growth',
    'rest.memory',
    'load.memory',
    'etcd.bytes',
    'etcd.file',
  ]);
  await expect.poll(() => readdirSync(directory), PATIENCE).toEqual(['build']);
});
