import fc from 'fast-check';
import { expect, test } from 'vitest';
import { concat, utf8 } from '../../primitives/bytes.ts';
import { entryBundlesOf, formatEntries, parseEntries, tileHashes, tilePath, tilesOf } from './tile.ts';
import { leafHash, treeHash } from './tree.ts';

// Paths and counts are the examples of c2sp.org/tlog-tiles.
test('paths', () => {
  expect(tilePath({ level: 0, index: 1234067, width: 256 })).toBe('tile/0/x001/x234/067');
  expect(tilePath({ level: 2, index: 0, width: 1 })).toBe('tile/2/000.p/1');
  expect(tilePath({ level: 'entries', index: 273, width: 112 })).toBe('tile/entries/273.p/112');
  expect(tilePath({ level: 1, index: 999, width: 256 })).toBe('tile/1/999');
  expect(tilePath({ level: 1, index: 1000, width: 256 })).toBe('tile/1/x001/000');
});

test('the tiles of a tree of 70 000, and of 256', () => {
  const tiles = tilesOf(70_000).filter(({ level }) => level !== 'entries');
  const count = (level: number, isFull: boolean) => tiles.filter((tile) => tile.level === level && (tile.width === 256) === isFull);
  expect(count(0, true)).toHaveLength(273);
  expect(count(0, false)).toEqual([{ level: 0, index: 273, width: 112 }]);
  expect(count(1, true)).toEqual([{ level: 1, index: 0, width: 256 }]);
  expect(count(1, false)).toEqual([{ level: 1, index: 1, width: 17 }]);
  expect(count(2, false)).toEqual([{ level: 2, index: 0, width: 1 }]);
  expect(tiles).toHaveLength(277);
  expect(tilesOf(256).map(tilePath)).toEqual(['tile/entries/000', 'tile/0/000', 'tile/1/000.p/1']);
  expect(tilesOf(0)).toEqual([]);
  expect(entryBundlesOf(257).map(({ width }) => width)).toEqual([256, 1]);
});

test('a tile holds the hashes of its level', () => {
  const leaves = Array.from({ length: 600 }, (_, i) => leafHash(Uint8Array.of(i >> 8, i)));
  expect(tileHashes({ level: 0, index: 2, width: 88 }, leaves)).toEqual(concat(...leaves.slice(512)));
  expect(tileHashes({ level: 1, index: 0, width: 2 }, leaves)).toEqual(
    concat(treeHash(leaves.slice(0, 256)), treeHash(leaves.slice(256, 512))),
  );
});

test('a bundle of entries', () => {
  expect(formatEntries([utf8('ab'), new Uint8Array(), new Uint8Array(258)])).toEqual(
    concat(Uint8Array.of(0, 2), utf8('ab'), Uint8Array.of(0, 0, 1, 2), new Uint8Array(258)),
  );
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 300 })), (entries) => {
      expect(parseEntries(formatEntries(entries), entries.length)).toEqual(entries);
    }),
  );
});

test('a bundle that is too short, too long, or of another number of entries is refused', () => {
  const bundle = formatEntries([utf8('ab'), utf8('c')]);
  const malformed = expect.objectContaining({ code: 'MALFORMED' });
  for (const wrong of [bundle.slice(0, -1), concat(bundle, Uint8Array.of(0)), new Uint8Array()])
    expect(() => parseEntries(wrong, 2)).toThrow(malformed);
  expect(() => parseEntries(bundle, 1)).toThrow(malformed);
  expect(() => parseEntries(bundle, 3)).toThrow(malformed);
  expect(() => formatEntries([new Uint8Array(65_536)])).toThrow(expect.objectContaining({ code: 'TOO_LARGE' }));
});
