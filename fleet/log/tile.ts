import { type Bytes, concat } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import { type TreeHash, treeHash } from './tree.ts';

// A log as static files (c2sp.org/tlog-tiles). A tile holds up to 256 hashes of one level; each hash of the next level covers a full tile.

export const TILE_WIDTH = 256;
const ENTRY_MOST = 0xffff;

export interface Tile {
  /** `entries` is beside level 0: the entries themselves. */
  readonly level: number | 'entries';
  readonly index: number;
  /** 1 to 256; fewer than 256 is a partial tile. */
  readonly width: number;
}

/** Below the log's URL: `tile/0/x001/x234/067.p/8`. */
export function tilePath({ level, index, width }: Tile): string {
  const digits = String(index).padStart(3 * Math.ceil(String(index).length / 3), '0');
  const groups = digits.match(/\d{3}/g) ?? [];
  const place = groups.map((group, i) => (i < groups.length - 1 ? `x${group}` : group)).join('/');
  return `tile/${level}/${place}${width < TILE_WIDTH ? `.p/${width}` : ''}`;
}

/** The tiles that a tree of this size consists of, entry bundles included. */
export function tilesOf(size: number): Tile[] {
  const tiles = row('entries', size);
  for (let [level, width] = [0, size]; width > 0; level++, width = Math.floor(width / TILE_WIDTH)) tiles.push(...row(level, width));
  return tiles;
}

/** The bundles of its entries. */
export const entryBundlesOf = (size: number): Tile[] => row('entries', size);

const row = (level: Tile['level'], width: number): Tile[] =>
  Array.from({ length: Math.ceil(width / TILE_WIDTH) }, (_, index) => ({
    level,
    index,
    width: Math.min(TILE_WIDTH, width - index * TILE_WIDTH),
  }));

/** The content of a tile of hashes, from the hashes of all leaves. */
export function tileHashes({ level, index, width }: Tile & { readonly level: number }, leaves: readonly TreeHash[]): Bytes {
  const span = TILE_WIDTH ** level;
  const first = index * TILE_WIDTH;
  const hashes = Array.from({ length: width }, (_, i) => treeHash(leaves.slice((first + i) * span, (first + i + 1) * span)));
  return concat(...hashes);
}

/** Each entry after its length, 16 bits, big-endian. Throws TOO_LARGE. */
export function formatEntries(entries: readonly Uint8Array[]): Bytes {
  return concat(
    ...entries.map((entry) => {
      if (entry.length > ENTRY_MOST)
        throw new VaultError('TOO_LARGE', `An entry of the log has ${entry.length} bytes; ${ENTRY_MOST} are the most.`);
      return concat(Uint8Array.of(entry.length >> 8, entry.length), entry);
    }),
  );
}

/** Throws MALFORMED when it does not hold exactly `count` entries. */
export function parseEntries(bytes: Uint8Array, count: number): Bytes[] {
  const entries: Bytes[] = [];
  let at = 0;
  while (at + 2 <= bytes.length) {
    const end = at + 2 + (((bytes[at] as number) << 8) | (bytes[at + 1] as number));
    if (end > bytes.length) break;
    entries.push(new Uint8Array(bytes.subarray(at + 2, end))); // a copy: slice() of a Buffer is none
    at = end;
  }
  if (at !== bytes.length || entries.length !== count)
    throw new VaultError('MALFORMED', `The bundle of entries does not hold ${count} entries.`);
  return entries;
}
