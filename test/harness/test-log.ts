import { ed25519 } from '@noble/curves/ed25519.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { ml_dsa44 } from '@noble/post-quantum/ml-dsa.js';
import { formatCheckpoint } from '../../fleet/log/checkpoint.ts';
import type { Note } from '../../fleet/log/note.ts';
import { asCosigner, formatNoteKey, type NoteKey, noteKey } from '../../fleet/log/note-key.ts';
import { cosign, type Sign, signText } from '../../fleet/log/note-signature.ts';
import { type TreeHash, treeHash } from '../../fleet/log/tree.ts';
import type { Millis } from '../../primitives/brand.ts';
import { type Bytes, utf8 } from '../../primitives/bytes.ts';

// For tests: a log whose key is in memory, and cosigners.

export interface SoftCosigner {
  /** Cosigns as it is, or under type 0x04. */
  readonly key: NoteKey;
  readonly cosigner: NoteKey;
  readonly publicKey: Bytes;
  readonly sign: Sign;
}

export interface SoftKey extends SoftCosigner {
  /** Type 0x01. */
  readonly key: NoteKey;
}

/** The same key for the same name, always. */
export function softKey(name: string): SoftKey {
  const secret = sha256(utf8(name));
  const publicKey = ed25519.getPublicKey(secret) as Bytes;
  const key = noteKey(name, 1, publicKey);
  return { key, cosigner: asCosigner(key), publicKey, sign: (message) => ed25519.sign(message, secret) as Bytes };
}

/** A cosigner with ML-DSA-44, type 0x06; the same key for the same name, always. */
export function softMlDsaKey(name: string): SoftCosigner {
  const { publicKey, secretKey } = ml_dsa44.keygen(sha256(utf8(name)));
  const key = noteKey(name, 6, publicKey);
  return { key, cosigner: key, publicKey: key.publicKey, sign: (message) => ml_dsa44.sign(message, secretKey) as Bytes };
}

/** A trust policy (c2sp.org/tlog-policy): so many of these cosigners. */
export function softPolicy(log: SoftKey, cosigners: readonly SoftCosigner[] = [], least = 0): string {
  const witnesses = cosigners.map(({ cosigner }, i) => `witness w${i} ${formatNoteKey(cosigner)}`);
  const group = `group enough ${least} ${cosigners.map((_, i) => `w${i}`).join(' ')}`;
  const quorum = least === 0 ? ['quorum none'] : [group, 'quorum enough'];
  return [`log ${formatNoteKey(log.key)}`, ...witnesses, ...quorum].map((line) => `${line}\n`).join('');
}

/** A checkpoint as a log publishes it: signed, cosigned by itself, and by `others`. */
export function softCheckpoint(
  log: SoftKey,
  leaves: readonly TreeHash[],
  at: Millis,
  others: readonly SoftCosigner[] = [],
  extensions: readonly string[] = [],
): Note {
  const text = formatCheckpoint({ origin: log.key.name, size: leaves.length, root: treeHash(leaves), extensions });
  const time = Math.floor(at / 1000);
  return {
    text,
    signatures: [signText(text, log.key, log.sign), ...[log, ...others].map(({ key, sign }) => cosign(text, key, time, sign))],
  };
}
