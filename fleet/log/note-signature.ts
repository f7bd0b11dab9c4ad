import { ed25519 } from '@noble/curves/ed25519.js';
import { type Bytes, concat, uint64, utf8 } from '../../primitives/bytes.ts';
import { type Note, type NoteSignature, signaturesOf } from './note.ts';
import { asCosigner, type NoteKey } from './note-key.ts';

const SIGNATURE_LENGTH = 64;

/** Makes an Ed25519 signature (RFC 8032), wherever the key is. */
export type Sign = (message: Uint8Array) => Bytes;

/** A signature of type 0x01: over the text itself. */
export const signText = (text: string, { name, id }: NoteKey, sign: Sign): NoteSignature => ({ name, id, signature: sign(utf8(text)) });

/** Does the note carry a right signature of this key (type 0x01), and no wrong one that claims to be of it? */
export function isSigned(note: Note, key: NoteKey): boolean {
  const signatures = signaturesOf(note, key);
  return signatures.length > 0 && signatures.every(({ signature }) => verifies(signature, utf8(note.text), key));
}

/**
 * A cosignature/v1 (c2sp.org/tlog-cosignature), type 0x04: "at this time, this was the largest consistent tree of that log which I
 * knew". `time` is in seconds since the Unix epoch. The message begins with a line of its own, so that one key can sign both kinds.
 */
export function cosign(text: string, key: NoteKey, time: number, sign: Sign): NoteSignature {
  const { name, id } = asCosigner(key);
  return { name, id, signature: concat(uint64(time), sign(cosigned(text, time))) };
}

/** When this key (type 0x04) last cosigned the note, in seconds; undefined if it did not, or if what claims to be of it is wrong. */
export function cosignedAt(note: Note, key: NoteKey): number | undefined {
  const times = signaturesOf(note, key).map(({ signature }) => readCosignature(note.text, signature, key));
  return times.length === 0 || times.includes(Number.NaN) ? undefined : Math.max(...times);
}

/** NaN for one that does not verify. */
function readCosignature(text: string, bytes: Uint8Array, key: NoteKey): number {
  if (bytes.length !== 8 + SIGNATURE_LENGTH) return Number.NaN;
  const time = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0));
  if (!Number.isSafeInteger(time)) return Number.NaN; // the specification stops at 2⁶³, JavaScript at 2⁵³: 285 million years
  return verifies(bytes.slice(8), cosigned(text, time), key) ? time : Number.NaN;
}

const cosigned = (text: string, time: number): Bytes => utf8(`cosignature/v1\ntime ${time}\n${text}`);

function verifies(signature: Bytes, message: Bytes, { publicKey }: NoteKey): boolean {
  try {
    // RFC 8032 §5.1.7 and not ZIP 215, which takes points that Go, OpenSSL and WebCrypto refuse.
    return signature.length === SIGNATURE_LENGTH && ed25519.verify(signature, message, publicKey, { zip215: false });
  } catch {
    return false; // the public key is no point
  }
}
