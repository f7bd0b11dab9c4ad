import { z } from 'zod';
import { utf8 } from '../../primitives/bytes.ts';
import { refuse } from './checks.ts';
import { decodeText, hexHash, parseCanonical } from './files.ts';

/** `prev` of the first line. */
export const NO_LINE = '0'.repeat(64);

const schema = z.strictObject({
  /** From 1. */
  seq: z.int().min(1),
  at: z.iso.datetime(),
  event: z.string().regex(/^[a-z][a-z-]*$/),
  data: z.record(z.string(), z.json()),
  /** SHA-256 of the line before, without its newline. */
  prev: z.string().regex(/^[0-9a-f]{64}$/),
});

export type TranscriptLine = z.infer<typeof schema>;

export interface Transcript {
  readonly lines: readonly TranscriptLine[];
  /** SHA-256 of the last line: stands for all of them. */
  readonly head: string;
}

/** One unbroken chain of canonical lines whose time never goes back. Throws transcript-broken. */
export function verifyTranscript(bytes: Uint8Array): Transcript {
  const text = decodeText(bytes, 'transcript-broken', 'The transcript');
  if (!text.endsWith('\n')) throw refuse('transcript-broken', 'The transcript is cut off: its last line has no end.');
  const lines: TranscriptLine[] = [];
  let head = NO_LINE;
  for (const [i, raw] of text.slice(0, -1).split('\n').entries()) {
    const line = parseCanonical(utf8(raw), schema, 'transcript-broken', `Line ${i + 1} of the transcript`);
    if (line.seq !== i + 1) throw refuse('transcript-broken', `Line ${i + 1} of the transcript says that it is line ${line.seq}.`);
    if (line.prev !== head) throw refuse('transcript-broken', `Line ${i + 1} of the transcript does not follow from the line before it.`);
    if (Date.parse(line.at) < Date.parse(lines.at(-1)?.at ?? line.at))
      throw refuse('transcript-broken', `Line ${i + 1} of the transcript is older than the line before it.`);
    lines.push(line);
    head = hexHash(utf8(raw));
  }
  return { lines, head };
}

/** The data of the only line with this event, about this replica if given. Throws evidence-mismatch for none and for several. */
export function only(transcript: Transcript, event: string, replica?: string): TranscriptLine['data'] {
  const found = transcript.lines.filter((line) => line.event === event && (replica === undefined || line.data.replica === replica));
  const about = replica === undefined ? '' : ` about ${replica}`;
  if (found.length !== 1)
    throw refuse('evidence-mismatch', `The transcript has ${found.length} lines "${event}"${about}, and should have one.`);
  return (found[0] as TranscriptLine).data;
}
