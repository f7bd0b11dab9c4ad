import { fromBase64, toBase64 } from '../../primitives/base64.ts';
import { concat, utf8 } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import { type Checkpoint, parseCheckpoint, parseDecimal } from '../log/checkpoint.ts';
import { formatNote, type Note, parseNote } from '../log/note.ts';
import { parseConsistency, type TreeHash } from '../log/tree.ts';

// The body of `POST /add-checkpoint` (c2sp.org/tlog-witness): the size last cosigned, a consistency proof, an empty line, a checkpoint.

export interface AddCheckpoint {
  readonly oldSize: number;
  readonly proof: readonly TreeHash[];
  readonly note: Note;
  /** What `note` says. */
  readonly checkpoint: Checkpoint;
}

export const formatAddCheckpoint = ({ oldSize, proof, note }: Omit<AddCheckpoint, 'checkpoint'>): Uint8Array =>
  concat(utf8(`old ${oldSize}\n${proof.map((hash) => `${toBase64(hash)}\n`).join('')}\n`), formatNote(note));

/** Throws MALFORMED. */
export function parseAddCheckpoint(bytes: Uint8Array): AddCheckpoint {
  const text = Buffer.from(bytes).toString('latin1'); // a character for each byte
  const end = text.indexOf('\n\n');
  const [old, ...proof] = text.slice(0, Math.max(0, end)).split('\n');
  if (!old?.startsWith('old ')) throw malformed('it does not begin with the old size');
  const note = parseNote(bytes.subarray(end + 2));
  return {
    oldSize: parseDecimal(old.slice('old '.length), 'The old size'),
    proof: parseConsistency(proof.map((hash) => fromBase64(hash, 'A hash of the proof'))),
    note,
    checkpoint: parseCheckpoint(note.text),
  };
}

const malformed = (why: string) => new VaultError('MALFORMED', `This is no request to add a checkpoint: ${why}.`);
