import { sha256 } from '@noble/hashes/sha2.js';
import { fromBase64, toBase64 } from '../../primitives/base64.ts';
import { type Bytes, concat, exactly, toHex, utf8 } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';

// Keys of signed notes (c2sp.org/signed-note): `name+id+base64(type ‖ public key)`, as Go's sumdb/note writes them.

/** 0x01 signs a note's text; 0x04 cosigns a checkpoint, with the time (c2sp.org/tlog-cosignature). Both are Ed25519. */
export type NoteKeyType = 1 | 4;

export interface NoteKey {
  readonly name: string;
  readonly type: NoteKeyType;
  readonly publicKey: Bytes;
  /** The first four bytes of a hash over all of it, as hexadecimal: tells keys apart, and proves nothing. */
  readonly id: string;
}

/** Not empty, no plus, no white space of any kind (c2sp.org/signed-note, Format), no control character. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
export const isKeyName = (name: string): boolean => /^[^+\s\u0085\u0000-\u001f\u007f]+$/u.test(name);

/** Throws MALFORMED for a name or a public key that no note can carry. */
export function noteKey(name: string, type: NoteKeyType, publicKey: Uint8Array): NoteKey {
  if (!isKeyName(name)) throw new VaultError('MALFORMED', 'The name of a note’s key is not empty and has no plus and no white space.');
  exactly(32, publicKey, 'the public key of a note');
  const id = toHex(sha256(concat(utf8(`${name}\n`), Uint8Array.of(type), publicKey)).subarray(0, 4));
  return { name, type, publicKey: publicKey as Bytes, id };
}

/** The same key under the other type: whoever signs checkpoints as a log cosigns them under the same name. */
export const asCosigner = ({ name, publicKey }: NoteKey): NoteKey => noteKey(name, 4, publicKey);

export const formatNoteKey = ({ name, type, publicKey, id }: NoteKey): string =>
  `${name}+${id}+${toBase64(concat(Uint8Array.of(type), publicKey))}`;

/** Throws MALFORMED. */
export function parseNoteKey(text: string): NoteKey {
  const [, name, id, encoded] = /^([^+]+)\+([0-9a-f]{8})\+(.+)$/.exec(text) ?? [];
  if (name === undefined || encoded === undefined) throw malformed('it does not read name+id+key');
  const bytes = fromBase64(encoded, 'The key of a vkey');
  const type = bytes[0];
  if (type !== 1 && type !== 4) throw malformed('its type is neither Ed25519 (1) nor cosignature (4)');
  const key = noteKey(name, type, bytes.slice(1));
  if (key.id !== id) throw malformed('its id is not that of its name and key');
  return key;
}

const malformed = (why: string) => new VaultError('MALFORMED', `This is not the key of a signed note (vkey): ${why}.`);
