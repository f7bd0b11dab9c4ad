import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { tileHashes, tilePath } from '../fleet/log/tile.ts';
import { leafHash } from '../fleet/log/tree.ts';
import { utf8 } from '../primitives/bytes.ts';
import { readLeafHashes } from './leaf-hashes.ts';

const leaves = Array.from({ length: 600 }, (_, i) => leafHash(utf8(String(i))));
const files = new Map<string, Uint8Array>();
let directory: string;
let server: Server;
let url: string;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'bkv-tiles-'));
  for (const [index, width] of [
    [0, 256],
    [1, 256],
    [2, 88],
  ] as const) {
    const tile = { level: 0, index, width };
    files.set(tilePath(tile), tileHashes(tile, leaves));
  }
  for (const [path, bytes] of files) {
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    writeFileSync(join(directory, path), bytes);
  }
  server = createServer(({ url: path }, response) => {
    const bytes = files.get((path ?? '').slice(1));
    response.writeHead(bytes ? 200 : 404).end(bytes);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
});

afterAll(() => {
  server.close();
  rmSync(directory, { recursive: true });
});

describe.each(['directory', 'URL'])('from a %s', (kind) => {
  const place = () => (kind === 'URL' ? url : directory);

  test.each([0, 256, 600])('the hashes of %i entries', async (size) => {
    expect(await readLeafHashes(place(), size)).toEqual(leaves.slice(0, size));
  });

  test('a full tile serves where a partial one is gone', async () => {
    expect(await readLeafHashes(place(), 300)).toEqual(leaves.slice(0, 300));
  });

  test('what is not there is told', async () => {
    await expect(readLeafHashes(place(), 601)).rejects.toMatchObject({ code: kind === 'URL' ? 'LOG_UNAVAILABLE' : 'CONFIG_INVALID' });
  });
});
