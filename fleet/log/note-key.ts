import { sha256 } from '@noble/hashes/sha2.js';
import { fromBase64, toBase64 } from '../../primitives/base64.ts';
import { type Bytes, concat, exactly, toHex, utf8 } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';

// Keys of signed notes (c2sp.org/signed-note): `name+id+base64(type ‖ public key)`, as Go's sumdb/note writes them.

/**
 * 0x01 signs a note's text, with Ed25519. 0x04 and 0x06 cosign a checkpoint, with the time (c2sp.org/tlog-cosignature): with Ed25519 and
 * with ML-DSA-44 (FIPS 204).
 */
export type NoteKeyType = 1 | 4 | 6;

const PUBLIC_KEY_LENGTH: Record<NoteKeyType, number> = { 1: 32, 4: 32, 6: 1312 };

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
  exactly(PUBLIC_KEY_LENGTH[type], publicKey, 'the public key of a note');
  const id = toHex(sha256(concat(utf8(`${name}\n`), Uint8Array.of(type), publicKey)).subarray(0, 4));
  return { name, type, publicKey: publicKey as Bytes, id };
}

/** The key under which its holder cosigns: a log's under the other type of Ed25519, with the same name; a cosigner's as it is. */
export const asCosigner = (key: NoteKey): NoteKey => (key.type === 1 ? noteKey(key.name, 4, key.publicKey) : key);

export const formatNoteKey = ({ name, type, publicKey, id }: NoteKey): string =>
  `${name}+${id}+${toBase64(concat(Uint8Array.of(type), publicKey))}`;

/** Throws MALFORMED. */
export function parseNoteKey(text: string): NoteKey {
  const [, name, id, encoded] = /^([^+]+)\+([0-9a-f]{8})\+(.+)$/.exec(text) ?? [];
  if (name === undefined || encoded === undefined) throw malformed('it does not read name+id+key');
  const bytes = fromBase64(encoded, 'The key of a vkey');
  const type = bytes[0];
  if (type !== 1 && type !== 4 && type !== 6) throw malformed('its type is neither signature (1) nor cosignature (4, 6)');
  const key = noteKey(name, type, bytes.slice(1));
  if (key.id !== id) throw malformed('its id is not that of its name and key');
  return key;
}

const malformed = (why: string) => new VaultError('MALFORMED', `This is not the key of a signed note (vkey): ${why}.`);
