import { ed25519 } from '@noble/curves/ed25519.js';
import { ml_dsa44 } from '@noble/post-quantum/ml-dsa.js';
import { type Bytes, concat, uint64, utf8 } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import { parseCheckpoint } from './checkpoint.ts';
import { type Note, type NoteSignature, signaturesOf } from './note.ts';
import { asCosigner, type NoteKey, type NoteKeyType } from './note-key.ts';

const SIGNATURE_LENGTH: Record<NoteKeyType, number> = { 1: 64, 4: 64, 6: 2420 };

/** Makes a signature of the key's kind, wherever the key is: Ed25519 (RFC 8032), or ML-DSA-44 with an empty context (FIPS 204 §5.2). */
export type Sign = (message: Uint8Array) => Bytes;

/** A signature of type 0x01: over the text itself. */
export const signText = (text: string, { name, id }: NoteKey, sign: Sign): NoteSignature => ({ name, id, signature: sign(utf8(text)) });

/** Does the note carry a right signature of this key (type 0x01), and no wrong one that claims to be of it? */
export function isSigned(note: Note, key: NoteKey): boolean {
  const signatures = signaturesOf(note, key);
  return signatures.length > 0 && signatures.every(({ signature }) => verifies(signature, utf8(note.text), key));
}

/**
 * A timestamped_signature (c2sp.org/tlog-cosignature): "at this time, this was the largest consistent tree of that log which I knew".
 * `time` is in seconds since the Unix epoch. What is signed begins with a line of its own, so that one key can sign both kinds of note.
 * Throws MALFORMED for a text that is no checkpoint, where ML-DSA-44 signs.
 */
export function cosign(text: string, key: NoteKey, time: number, sign: Sign): NoteSignature {
  const cosigner = asCosigner(key);
  const { name, id } = cosigner;
  return { name, id, signature: concat(uint64(time), sign(cosigned(text, time, cosigner))) };
}

/**
 * When this key (type 0x04 or 0x06) last cosigned the note, in seconds; undefined if it did not, if it says no time (0), or if what claims
 * to be of it is wrong.
 */
export function cosignedAt(note: Note, key: NoteKey): number | undefined {
  const last = Math.max(...signaturesOf(note, key).map(({ signature }) => readCosignature(note.text, signature, key)));
  return last > 0 ? last : undefined; // not so for NaN, nor for −∞, the largest of none
}

/** NaN for one that does not verify. */
function readCosignature(text: string, bytes: Uint8Array, key: NoteKey): number {
  if (bytes.length !== 8 + SIGNATURE_LENGTH[key.type]) return Number.NaN;
  const time = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0));
  if (!Number.isSafeInteger(time)) return Number.NaN; // the specification stops at 2⁶³, JavaScript at 2⁵³: 285 million years
  try {
    return verifies(bytes.slice(8), cosigned(text, time, key), key) ? time : Number.NaN;
  } catch {
    return Number.NaN; // the text is no checkpoint, or has a name that ML-DSA-44 cannot sign
  }
}

/** What a cosigner signs: lines before the text for Ed25519, a structure for ML-DSA-44. Throws MALFORMED. */
const cosigned = (text: string, time: number, { type, name }: NoteKey): Bytes =>
  type === 6 ? cosignedMessage(text, time, name) : utf8(`cosignature/v1\ntime ${time}\n${text}`);

/**
 * cosigned_message of c2sp.org/tlog-cosignature, "ML-DSA-44 signed message": `subtree/v1\n\0` ‖ cosigner's name ‖ time ‖ log's origin ‖ start ‖
 * end ‖ root. Names have a byte of length before them (RFC 8446 §3.4), numbers are 8 bytes, big-endian. A checkpoint is the subtree from 0
 * to its size. Its extension lines are not signed.
 */
function cosignedMessage(text: string, time: number, name: string): Bytes {
  const { origin, size, root } = parseCheckpoint(text);
  return concat(utf8('subtree/v1\n\0'), opaque(name), uint64(time), opaque(origin), uint64(0), uint64(size), root);
}

function opaque(text: string): Bytes {
  const bytes = utf8(text);
  if (bytes.length > 255) throw new VaultError('MALFORMED', `ML-DSA-44 cosigns names of 255 bytes at most; ${text} is longer.`);
  return concat(Uint8Array.of(bytes.length), bytes);
}

function verifies(signature: Bytes, message: Bytes, { type, publicKey }: NoteKey): boolean {
  if (signature.length !== SIGNATURE_LENGTH[type]) return false;
  try {
    // RFC 8032 §5.1.7 and not ZIP 215, which takes points that Go, OpenSSL and WebCrypto refuse.
    return type === 6 ? ml_dsa44.verify(signature, message, publicKey) : ed25519.verify(signature, message, publicKey, { zip215: false });
  } catch {
    return false; // the public key is no point
  }
}
