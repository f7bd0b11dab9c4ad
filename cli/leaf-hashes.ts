import { join } from 'node:path';
import { TILE_WIDTH, type Tile, tilePath } from '../fleet/log/tile.ts';
import { HASH_LENGTH } from '../fleet/log/tree.ts';
import { VaultError } from '../primitives/errors.ts';
import { readInput } from './arguments.ts';
import { fetchFile } from './log-files.ts';

/**
 * Hashes of the first `size` entries, from the tiles of level 0 (c2sp.org/tlog-tiles) at a URL or in a directory. Whether they are those
 * of a checkpoint is for whoever has one. Throws CONFIG_INVALID, LOG_UNAVAILABLE naming what cannot be read.
 */
export async function readLeafHashes(log: string, size: number): Promise<Uint8Array[]> {
  const hashes: Uint8Array[] = [];
  for (let index = 0; hashes.length < size; index++) {
    const width = Math.min(TILE_WIDTH, size - hashes.length);
    const tile = await readTile(log, { level: 0, index, width });
    for (let i = 0; i < width; i++) hashes.push(tile.slice(i * HASH_LENGTH, (i + 1) * HASH_LENGTH));
  }
  return hashes;
}

/** A full tile takes the place of a partial one, which a log may drop then. */
async function readTile(log: string, tile: Tile): Promise<Uint8Array> {
  const bytes = await readAt(log, tilePath(tile)).catch((error: unknown) => {
    if (tile.width === TILE_WIDTH) throw error;
    return readAt(log, tilePath({ ...tile, width: TILE_WIDTH })).catch(() => {
      throw error;
    });
  });
  if (bytes.length >= tile.width * HASH_LENGTH) return bytes;
  throw new VaultError('CONFIG_INVALID', `${tilePath(tile)} of the log ${log} is too short.`);
}

async function readAt(log: string, path: string): Promise<Uint8Array> {
  if (!/^https?:/.test(log)) return new Uint8Array(readInput(join(log, path)));
  const file = await fetchFile(log, path);
  if (file) return file;
  throw new VaultError('LOG_UNAVAILABLE', `The log ${log} has no ${path}.`);
}
