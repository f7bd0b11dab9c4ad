import { fromBase64, toBase64 } from '../../primitives/base64.ts';
import { type Bytes, concat, constantTimeEqual, fromUtf8, utf8 } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import { type Checkpoint, parseCheckpoint, parseDecimal, parseHash } from './checkpoint.ts';
import { formatNote, type Note, parseNote } from './note.ts';
import { leafHash, type TreeHash, verifyInclusion } from './tree.ts';

// Proof files (c2sp.org/tlog-proof): all that shows, without asking anybody, that a log holds an entry.

const HEADER = 'c2sp.org/tlog-proof@v1';

export interface LogProof {
  /** What whoever made the proof added: not empty, and signed by nobody. Nothing here rests on it. */
  readonly extra?: Bytes | undefined;
  readonly index: number;
  /** From the leaf's sibling up. */
  readonly hashes: readonly TreeHash[];
  /** The checkpoint as a signed note, with the log's signature and those of witnesses. */
  readonly note: Note;
  /** What `note` says. */
  readonly checkpoint: Checkpoint;
}

export function formatProof({ extra, index, hashes, note }: Omit<LogProof, 'checkpoint'>): Bytes {
  const head = [HEADER, ...(extra ? [`extra ${toBase64(extra)}`] : []), `index ${index}`, ...hashes.map(toBase64)];
  return concat(utf8(`${head.join('\n')}\n\n`), formatNote(note));
}

/** Throws MALFORMED for anything formatProof would write differently. */
export function parseProof(bytes: Uint8Array): LogProof {
  const text = fromUtf8(bytes, 'The proof from the log');
  const end = text.indexOf('\n\n');
  const [header, ...lines] = text.slice(0, Math.max(0, end)).split('\n');
  const extra = lines[0]?.startsWith('extra ') ? parseExtra(lines.shift() as string) : undefined;
  const [index, ...hashes] = lines;
  if (header !== HEADER || !index?.startsWith('index ')) throw malformed('it does not begin with its type and index');
  const note = parseNote(utf8(text.slice(end + 2)));
  const proof = {
    ...(extra ? { extra } : {}),
    index: parseDecimal(index.slice('index '.length), 'The index of a proof'),
    hashes: hashes.map((hash) => parseHash(hash, 'A hash of the proof')),
    note,
    checkpoint: parseCheckpoint(note.text),
  };
  if (!constantTimeEqual(formatProof(proof), bytes)) throw malformed('it is not written as proofs are');
  return proof;
}

/** Without data there is no such line. */
function parseExtra(line: string): Bytes {
  const extra = fromBase64(line.slice('extra '.length), 'The extra data of a proof');
  if (extra.length === 0) throw malformed('its line of extra data is empty');
  return extra;
}

/** Does the checkpoint's tree hold this entry at this index? Whether to trust the checkpoint is for policy.ts. */
export const provesEntry = ({ index, hashes, checkpoint: { size, root } }: LogProof, entry: Uint8Array): boolean =>
  verifyInclusion({ index, size, root, leaf: leafHash(entry), proof: hashes });

const malformed = (why: string) => new VaultError('MALFORMED', `This is not a tlog-proof: ${why}.`);
