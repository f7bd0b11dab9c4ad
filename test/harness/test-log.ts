import { ed25519 } from '@noble/curves/ed25519.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { formatCheckpoint } from '../../fleet/log/checkpoint.ts';
import type { Note } from '../../fleet/log/note.ts';
import { asCosigner, type NoteKey, noteKey } from '../../fleet/log/note-key.ts';
import { cosign, type Sign, signText } from '../../fleet/log/note-signature.ts';
import { type TreeHash, treeHash } from '../../fleet/log/tree.ts';
import type { Millis } from '../../primitives/brand.ts';
import { type Bytes, utf8 } from '../../primitives/bytes.ts';

// For tests: a log whose key is in memory.

export interface SoftKey {
  readonly key: NoteKey;
  readonly cosigner: NoteKey;
  readonly publicKey: Bytes;
  readonly sign: Sign;
}

/** The same key for the same name, always. */
export function softKey(name: string): SoftKey {
  const secret = sha256(utf8(name));
  const publicKey = ed25519.getPublicKey(secret) as Bytes;
  const key = noteKey(name, 1, publicKey);
  return { key, cosigner: asCosigner(key), publicKey, sign: (message) => ed25519.sign(message, secret) as Bytes };
}

/** A checkpoint as a log publishes it: signed, cosigned by itself, and by `others`. */
export function softCheckpoint(
  log: SoftKey,
  leaves: readonly TreeHash[],
  at: Millis,
  others: readonly SoftKey[] = [],
  extensions: readonly string[] = [],
): Note {
  const text = formatCheckpoint({ origin: log.key.name, size: leaves.length, root: treeHash(leaves), extensions });
  const time = Math.floor(at / 1000);
  return {
    text,
    signatures: [signText(text, log.key, log.sign), ...[log, ...others].map(({ key, sign }) => cosign(text, key, time, sign))],
  };
}
