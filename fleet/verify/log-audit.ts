import type { Millis } from '../../primitives/brand.ts';
import { constantTimeEqual, toHex } from '../../primitives/bytes.ts';
import { parseCheckpoint } from '../log/checkpoint.ts';
import { parseNote } from '../log/note.ts';
import { type LogPolicy, type TrustedCheckpoint, verifyCheckpoint } from '../log/policy.ts';
import { entryBundlesOf, parseEntries, type Tile, tileHashes, tilePath, tilesOf } from '../log/tile.ts';
import { leafHash, type TreeHash, treeHash } from '../log/tree.ts';
import type { RememberedCheckpoint } from './bundle.ts';
import { type Checklist, refuse, refusingMalformed } from './checks.ts';
import { type History, readHistory } from './history.ts';
import type { OperatorAuthorities } from './in-force.ts';
import { formatNewest, type Newest, newestOf, toSeconds } from './newest.ts';

/** A log's files by their paths below its URL. */
export type LogFiles = ReadonlyMap<string, Uint8Array>;

/** A fleet makes a statement when its tokens or its software change. Far more than that is an attempt to keep an auditor busy. */
const ENTRIES_MOST = 1 << 16;

/** Is the checkpoint one to rely on? */
export function checkCheckpoint(list: Checklist, bytes: Uint8Array, policy: LogPolicy, now: Millis): TrustedCheckpoint | undefined {
  const note = list.run('checkpoint', 'The log answers a checkpoint', [], () => {
    const read = refusingMalformed('checkpoint-malformed', () => parseNote(bytes));
    const { origin, size } = refusingMalformed('checkpoint-malformed', () => parseCheckpoint(read.text));
    if (size > ENTRIES_MOST)
      throw refuse('checkpoint-malformed', `It says ${size} entries; a log of fleet statements has ${ENTRIES_MOST} at most.`);
    return [read, `${origin}, ${size} entries.`];
  });
  return list.run('signed', 'The log signed it, lately, and enough others did', [note], (read) => {
    const trusted = verifyCheckpoint(read, policy, now);
    const others = trusted.cosigners.length === 0 ? 'no other witness' : trusted.cosigners.join(', ');
    return [trusted, `Signed ${new Date(trusted.signedAt).toISOString()}; cosigned by ${others}.`];
  });
}

export interface Tree {
  readonly entries: readonly Uint8Array[];
  readonly leaves: readonly TreeHash[];
}

/** The entries of a log, and that they are what it signed. */
export function checkTree(list: Checklist, files: LogFiles, checkpoint: TrustedCheckpoint): Tree | undefined {
  const entries = list.run('entries', 'It answers all of its entries', [], () => {
    const read = entryBundlesOf(checkpoint.size).flatMap((tile) => readBundle(files, tile));
    return [read, `${read.length} entries.`];
  });
  return list.run('tree', 'They are the tree that it signed', [entries], (read) => {
    const leaves = read.map(leafHash);
    const root = treeHash(leaves);
    if (!constantTimeEqual(root, checkpoint.root))
      throw refuse('tree-mismatch', `The entries make a tree with root ${toHex(root)}; the log signed ${toHex(checkpoint.root)}.`);
    return [{ entries: read, leaves }, `Root ${toHex(root)}.`];
  });
}

export interface AuditedLog extends History {
  /** What its checkpoint names. */
  readonly newest: readonly Newest[];
}

/**
 * Everything that a log holds, held against what it signed and against the rules for its entries. `remembered`: an older checkpoint.
 * `operators`: of every fleet that it puts in force. Undefined where a check fails.
 */
export function checkLog(
  list: Checklist,
  files: LogFiles,
  checkpoint: TrustedCheckpoint,
  remembered: RememberedCheckpoint | undefined,
  operators: OperatorAuthorities,
): AuditedLog | undefined {
  const tree = checkTree(list, files, checkpoint);
  list.run('tiles', 'Its tiles are those of this tree', [tree], ({ leaves }) => {
    const tiles = tilesOf(checkpoint.size).filter((tile): tile is Tile & { readonly level: number } => tile.level !== 'entries');
    const wrong = tiles.find((tile) => !constantTimeEqual(fileOf(files, tile), tileHashes(tile, leaves)));
    if (wrong) throw refuse('tree-mismatch', `${tilePath(wrong)} does not hold the hashes of the tree.`);
    return [true, `${tiles.length} tiles.`];
  });
  list.run('continues', 'It continues what was seen of it before', [tree], ({ leaves }) => {
    if (!remembered) return [true, 'Nothing was seen before.'];
    if (remembered.origin !== checkpoint.origin) throw refuse('log-forked', `What was seen before is of the log ${remembered.origin}.`);
    const { size, root } = remembered;
    if (size > leaves.length) throw refuse('log-forked', `It had ${size} entries before, and has ${leaves.length} now.`);
    if (!constantTimeEqual(treeHash(leaves.slice(0, size)), root))
      throw refuse('log-forked', `Its first ${size} entries were others before.`);
    return [true, `Its first ${size} entries are the same.`];
  });
  const history = list.run(
    'statements',
    'Each entry follows the rules: epochs in order, each naming the one before, nothing twice; operators put in force what is logged',
    [tree],
    ({ entries }) => {
      const read = readHistory(entries, operators);
      const fleets = new Map(read.statements.map(({ fleet, epoch }) => [fleet, epoch]));
      return [read, [...fleets].map(([fleet, epoch]) => `${fleet}: epoch ${epoch}`).join('; ') || 'None.'];
    },
  );
  return list.run('newest', 'Its checkpoint names the newest epochs that operators put in force', [history], (read) => {
    const newest = newestOf(read.inForce);
    const lines = newest.map(formatNewest);
    if (lines.join('\n') !== checkpoint.extensions.join('\n'))
      throw refuse(
        'newest-mismatch',
        `The entries put in force “${lines.join('; ')}”; the checkpoint names “${checkpoint.extensions.join('; ')}”.`,
      );
    const told = newest.map(
      ({ fleet, epoch, refuseOlderFrom }) => `${fleet}: epoch ${epoch}, older ones refused from ${toSeconds(refuseOlderFrom)}`,
    );
    return [{ ...read, newest }, told.join('; ') || 'None.'];
  });
}

const readBundle = (files: LogFiles, tile: Tile): Uint8Array[] =>
  refusingMalformed('tree-mismatch', () => parseEntries(fileOf(files, tile), tile.width), `${tilePath(tile)}: `);

function fileOf(files: LogFiles, tile: Tile): Uint8Array {
  const file = files.get(tilePath(tile));
  if (!file) throw refuse('tree-mismatch', `${tilePath(tile)} is not there.`);
  return file;
}
