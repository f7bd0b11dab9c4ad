import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { decryptFile, encryptFile } from './archive.ts';

const TAG = 16;
const SEGMENT = 64 * 1024;
const SEALED = SEGMENT + TAG;
const key = randomBytes(32);
let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'bkv-archive-'));
});

afterEach(() => rmSync(directory, { recursive: true }));

const path = (name: string) => join(directory, name);

async function sealed(plain: Uint8Array): Promise<Buffer> {
  writeFileSync(path('plain'), plain);
  await encryptFile(path('plain'), path('sealed'), key);
  return readFileSync(path('sealed'));
}

const open = (bytes: Uint8Array, withKey = key) => {
  writeFileSync(path('changed'), bytes);
  return decryptFile(path('changed'), path('opened'), withKey);
};

test.each([0, 1, SEGMENT - 1, SEGMENT, SEGMENT + 1, 3 * SEGMENT, 200_000])('%i bytes come back', async (length) => {
  const plain = randomBytes(length);
  await open(await sealed(plain));
  expect(readFileSync(path('opened')).equals(plain)).toBe(true);
});

describe('a changed archive is refused', () => {
  test.each<[string, (bytes: Buffer) => Uint8Array]>([
    ['a bit of the salt', (bytes) => flip(bytes, 0)],
    ['a bit of the first segment', (bytes) => flip(bytes, 40)],
    ['a bit of the last tag', (bytes) => flip(bytes, bytes.length - 1)],
    ['cut off within a segment', (bytes) => bytes.subarray(0, -100)],
    ['cut off after a whole segment', (bytes) => bytes.subarray(0, 32 + SEALED)],
    ['something behind it', (bytes) => Buffer.concat([bytes, Buffer.of(0)])],
    ['two segments in the other order', swapFirstTwo],
    ['nothing but the salt', (bytes) => bytes.subarray(0, 32)],
  ])('%s', async (_what, change) => {
    await expect(open(change(await sealed(randomBytes(2 * SEGMENT + 1000))))).rejects.toThrow();
  });

  test('another key', async () => {
    await expect(open(await sealed(randomBytes(1000)), randomBytes(32))).rejects.toThrow();
  });
});

function flip(bytes: Buffer, position: number): Buffer {
  const changed = Buffer.from(bytes);
  changed[position] = (changed[position] as number) ^ 1;
  return changed;
}

function swapFirstTwo(bytes: Buffer): Buffer {
  const cut = [0, 32, 32 + SEALED, 32 + 2 * SEALED, bytes.length];
  const [salt, first, second, rest] = cut.slice(0, -1).map((from, i) => bytes.subarray(from, cut[i + 1])) as [
    Buffer,
    Buffer,
    Buffer,
    Buffer,
  ];
  return Buffer.concat([salt, second, first, rest]);
}
