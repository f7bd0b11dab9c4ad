import { fromBase64, toBase64 } from '../../primitives/base64.ts';
import { exactly } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import { HASH_LENGTH, type TreeHash } from './tree.ts';

// The text of a checkpoint (c2sp.org/tlog-checkpoint): origin, size, root hash, each on a line; further lines are opaque.

export interface Checkpoint {
  /** The log's name. */
  readonly origin: string;
  readonly size: number;
  readonly root: TreeHash;
  /** Ours are those of fleet/verify/newest.ts; cosigners sign whatever another log has, with the rest. */
  readonly extensions: readonly string[];
}

export const formatCheckpoint = ({ origin, size, root, extensions }: Checkpoint): string =>
  [origin, size, toBase64(root), ...extensions].map((line) => `${line}\n`).join('');

/** `text` is a note's. Throws MALFORMED for anything that formatCheckpoint would write differently. */
export function parseCheckpoint(text: string): Checkpoint {
  const [origin, size, root, ...rest] = text.split('\n');
  const extensions = rest.slice(0, -1);
  if (!origin || size === undefined || root === undefined || extensions.includes('')) throw malformed('a line is missing or empty');
  const checkpoint = { origin, size: parseDecimal(size, 'The size of a checkpoint'), root: parseHash(root, 'The root hash'), extensions };
  if (formatCheckpoint(checkpoint) !== text) throw malformed('its last line does not end');
  return checkpoint;
}

/** ASCII digits without leading zeros, up to 2⁵³ − 1. Throws MALFORMED, naming `what`. */
export function parseDecimal(text: string, what: string): number {
  const value = Number(text);
  if (!/^(0|[1-9][0-9]*)$/.test(text) || !Number.isSafeInteger(value))
    throw new VaultError('MALFORMED', `${what} is not a decimal number.`);
  return value;
}

/** Throws MALFORMED, naming `what`. */
export const parseHash = (text: string, what: string): TreeHash => exactly(HASH_LENGTH, fromBase64(text, what), what) as TreeHash;

const malformed = (why: string) => new VaultError('MALFORMED', `This is not a checkpoint: ${why}.`);
