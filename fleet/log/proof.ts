import { toBase64 } from '../../primitives/base64.ts';
import { type Bytes, constantTimeEqual, fromUtf8, utf8 } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import { type Checkpoint, parseCheckpoint, parseDecimal, parseHash } from './checkpoint.ts';
import { formatNote, type Note, parseNote } from './note.ts';
import { leafHash, type TreeHash, verifyInclusion } from './tree.ts';

// Proof files (c2sp.org/tlog-proof): all that shows, without asking anybody, that a log holds an entry.

const HEADER = 'c2sp.org/tlog-proof@v1';

export interface LogProof {
  readonly index: number;
  /** From the leaf's sibling up. */
  readonly hashes: readonly TreeHash[];
  /** The checkpoint as a signed note, with the log's signature and those of witnesses. */
  readonly note: Note;
  /** What `note` says. */
  readonly checkpoint: Checkpoint;
}

export const formatProof = ({ index, hashes, note }: Omit<LogProof, 'checkpoint'>): Bytes =>
  utf8(`${HEADER}\nindex ${index}\n${hashes.map((hash) => `${toBase64(hash)}\n`).join('')}\n${new TextDecoder().decode(formatNote(note))}`);

/** Takes no `extra` line: our proofs need none, and nobody signs it. Throws MALFORMED for anything formatProof would write differently. */
export function parseProof(bytes: Uint8Array): LogProof {
  const text = fromUtf8(bytes, 'The proof from the log');
  const end = text.indexOf('\n\n');
  const [header, index, ...hashes] = text.slice(0, Math.max(0, end)).split('\n');
  if (header !== HEADER || !index?.startsWith('index ')) throw malformed('it does not begin with its type and index');
  const note = parseNote(utf8(text.slice(end + 2)));
  const proof = {
    index: parseDecimal(index.slice('index '.length), 'The index of a proof'),
    hashes: hashes.map((hash) => parseHash(hash, 'A hash of the proof')),
    note,
    checkpoint: parseCheckpoint(note.text),
  };
  if (!constantTimeEqual(formatProof(proof), bytes)) throw malformed('it is not written as proofs are');
  return proof;
}

/** Does the checkpoint's tree hold this entry at this index? Whether to trust the checkpoint is for policy.ts. */
export const provesEntry = ({ index, hashes, checkpoint: { size, root } }: LogProof, entry: Uint8Array): boolean =>
  verifyInclusion({ index, size, root, leaf: leafHash(entry), proof: hashes });

const malformed = (why: string) => new VaultError('MALFORMED', `This is not a tlog-proof: ${why}.`);
