import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { fileMemory } from './trust-memory.ts';

let directory: string;
const file = (name: string) => join(directory, name);
const remembered = { epochLeast: 2, checkpoint: { origin: 'witness.example', size: 3, root: new Uint8Array(32).fill(7) } };

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'bkv-memory-'));
});

afterAll(() => rmSync(directory, { recursive: true }));

test('what was saved last is loaded, by another process too', async () => {
  expect(await fileMemory(file('memory'), 'west').load()).toBeUndefined();
  await fileMemory(file('memory'), 'west').save({ ...remembered, epochLeast: 1 });
  await fileMemory(file('memory'), 'west').save(remembered);
  expect(await fileMemory(file('memory'), 'west').load()).toEqual(remembered);
  expect(readdirSync(directory)).toEqual(['memory']); // no temporary file is left
});

test.each([
  ['cut off', '{"type":"backup-key-vault/trust-memory/v1","fleet":"west","epo'],
  ['empty', ''],
  ['without its epoch', '{"type":"backup-key-vault/trust-memory/v1","fleet":"west","checkpoint":{"origin":"a","size":1,"root":"00"}}'],
])('a file that is %s is no empty memory', async (what, text) => {
  writeFileSync(file(what), text);
  await expect(fileMemory(file(what), 'west').load()).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
});

test('a memory of another fleet is refused', async () => {
  await fileMemory(file('other'), 'east').save(remembered);
  await expect(fileMemory(file('other'), 'west').load()).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
});

test('a memory that cannot be written stops the operation', async () => {
  await expect(fileMemory(file('nowhere/memory'), 'west').save(remembered)).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
});
