import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Mark } from './mark.ts';

let directory: string;
let path: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'mark-'));
  path = join(directory, 'mark');
  await Mark.create(path);
});

afterEach(() => rm(directory, { recursive: true }));

async function storedValue(): Promise<bigint> {
  const { mark, value } = await Mark.open(path);
  await mark.close();
  return value;
}

it('keeps the last number written', async () => {
  expect(await storedValue()).toBe(0n);
  for (const value of [1n, 2n, 3n]) {
    const { mark } = await Mark.open(path);
    await mark.write(value);
    await mark.close();
    expect(await storedValue()).toBe(value);
  }
});

it('falls back to the number before when the last write was torn', async () => {
  const { mark } = await Mark.open(path);
  await mark.write(1n);
  await mark.write(2n);
  await mark.close();
  const bytes = await readFile(path);
  for (const slot of [0, 16]) {
    const torn = Buffer.from(bytes);
    torn[slot + 3] = (torn[slot + 3] as number) ^ 0xff;
    await writeFile(path, torn);
    expect([1n, 2n]).toContain(await storedValue());
  }
});

it('says so when nothing can be read, and never replaces one', async () => {
  await writeFile(path, Buffer.alloc(32, 7));
  await expect(Mark.open(path)).rejects.toMatchObject({ code: 'GUARD_MISSING' });
  await expect(Mark.create(path)).rejects.toMatchObject({ code: 'EEXIST' });
});
