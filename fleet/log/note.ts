import { fromBase64, toBase64 } from '../../primitives/base64.ts';
import { type Bytes, concat, constantTimeEqual, fromHex, fromUtf8, toHex, utf8 } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import { isKeyName, type NoteKey } from './note-key.ts';

// Signed notes (c2sp.org/signed-note): a text, an empty line, signature lines.

export interface NoteSignature {
  readonly name: string;
  /** The key's id, as hexadecimal. */
  readonly id: string;
  readonly signature: Bytes;
}

export interface Note {
  /** With its last line break. What is signed. */
  readonly text: string;
  readonly signatures: readonly NoteSignature[];
}

/** The specification asks for 16 at least; Go's sumdb/note stops at 100. */
const SIGNATURES_MOST = 100;

export const formatSignature = ({ name, id, signature }: NoteSignature): string =>
  `— ${name} ${toBase64(concat(fromHex(id, 'key id'), signature))}\n`;

export const formatNote = ({ text, signatures }: Note): Bytes => utf8(`${text}\n${signatures.map(formatSignature).join('')}`);

/** Who signed is another question. Throws MALFORMED for anything that formatNote would write differently. */
export function parseNote(bytes: Uint8Array): Note {
  const whole = fromUtf8(bytes, 'The signed note');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
  if (/[\u0000-\u0009\u000b-\u001f]/.test(whole)) throw malformed('it has a control character');
  const split = whole.lastIndexOf('\n\n');
  if (split < 0) throw malformed('no empty line stands before its signatures');
  const note = { text: whole.slice(0, split + 1), signatures: parseSignatures(whole.slice(split + 2)) };
  if (note.signatures.length === 0) throw malformed('it has no signature');
  if (!constantTimeEqual(formatNote(note), bytes)) throw malformed('it is not written as signed notes are');
  return note;
}

/** Signature lines by themselves, as a witness answers them. Throws MALFORMED. */
export function parseSignatures(lines: string): NoteSignature[] {
  if (lines !== '' && !lines.endsWith('\n')) throw malformed('its last line does not end');
  const signatures = lines.split('\n').slice(0, -1).map(parseSignature);
  if (signatures.length > SIGNATURES_MOST) throw malformed(`it has more than ${SIGNATURES_MOST} signatures`);
  return signatures;
}

function parseSignature(line: string): NoteSignature {
  const [, name, encoded] = /^— (\S+) (\S+)$/u.exec(line) ?? [];
  if (name === undefined || encoded === undefined || !isKeyName(name)) throw malformed('a signature line does not read — name base64');
  const bytes = fromBase64(encoded, 'The signature of a note');
  if (bytes.length < 5) throw malformed('a signature is too short');
  return { name, id: toHex(bytes.subarray(0, 4)), signature: bytes.slice(4) };
}

/** The signatures that claim to be of this key. Others are ignored, as the specification wants. */
export const signaturesOf = (note: Note, key: NoteKey): NoteSignature[] =>
  note.signatures.filter(({ name, id }) => name === key.name && id === key.id);

const malformed = (why: string) => new VaultError('MALFORMED', `This is not a signed note: ${why}.`);
