import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Millis } from '../../primitives/brand.ts';
import { type Bytes, constantTimeEqual } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import { type Checkpoint, formatCheckpoint, parseCheckpoint } from '../log/checkpoint.ts';
import { formatNote, type Note, type NoteSignature, parseNote } from '../log/note.ts';
import { type NoteKey, noteKey } from '../log/note-key.ts';
import { cosign, isSigned, signText } from '../log/note-signature.ts';
import { formatProof } from '../log/proof.ts';
import { formatEntries, TILE_WIDTH, type Tile, tileHashes, tilePath, tilesOf } from '../log/tile.ts';
import { leafHash, makeInclusionProof, type TreeHash, treeHash } from '../log/tree.ts';
import type { Signer } from '../signing-token/signer.ts';
import { makeDirectoryDurably, writeDurably } from './durable-file.ts';
import { NumberedFiles } from './numbered-files.ts';

/** The extension lines of a checkpoint: they follow from the entries alone. What it throws keeps the log from signing. */
export type ExtensionsOf = (entries: readonly Uint8Array[]) => readonly string[];

/** A checkpoint that is signed and not yet public, and what a cosigner needs to agree to it. */
export interface Draft {
  readonly checkpoint: Checkpoint;
  readonly note: Note;
  /** Hashes of all leaves. */
  readonly leaves: readonly TreeHash[];
  /** What is public until now. */
  readonly published: Checkpoint;
}

/**
 * A log in a directory. `entries/` is the truth: an entry is in the log once its file is there, and every root follows from them, so
 * that whoever publishes after a crash, or beside another, publishes the same tree. `public/` is what is served, as c2sp.org/tlog-tiles
 * has it, and can be made again from the entries but for the last checkpoint: that is what the log has said, and is held against them.
 */
export class PublishedLog {
  readonly key: NoteKey;
  readonly #signer: Signer;
  readonly #extensionsOf: ExtensionsOf;
  readonly #entries: NumberedFiles;
  readonly #public: string;

  constructor(directory: string, name: string, signer: Signer, extensionsOf: ExtensionsOf) {
    this.key = noteKey(name, 1, signer.publicKey);
    this.#signer = signer;
    this.#extensionsOf = extensionsOf;
    this.#entries = new NumberedFiles(join(directory, 'entries'));
    this.#public = join(directory, 'public');
  }

  /** The explicit beginning: an empty tree, signed. */
  make(now: Millis): void {
    this.#entries.make();
    makeDirectoryDurably(this.#public);
    writeDurably(this.#checkpointFile, formatNote(this.#sign([], [], now)));
  }

  /** Throws LOG_MISSING, and LOG_CORRUPT when the last checkpoint says something else than they do. */
  entries(): Bytes[] {
    const entries = this.#entries.read();
    const { size, root } = this.published();
    if (!constantTimeEqual(treeHash(entries.slice(0, size).map(leafHash)), root))
      throw new VaultError('LOG_CORRUPT', `The log signed a tree of ${size} entries that its directory does not hold.`);
    return entries;
  }

  /** Durable when it returns; not yet public. False if another entry has that place. */
  append(index: number, entry: Uint8Array): boolean {
    formatEntries([entry]); // throws for what no bundle can hold
    return this.#entries.append(index, entry);
  }

  /** The last checkpoint. Throws LOG_MISSING, LOG_CORRUPT. */
  published(): Checkpoint {
    return parseCheckpoint(this.publishedNote().text);
  }

  publishedNote(): Note {
    if (!existsSync(this.#checkpointFile))
      throw new VaultError(
        'LOG_MISSING',
        `${this.#checkpointFile} is not there: what the log signed last must be known before it signs again.`,
      );
    try {
      const note = parseNote(readFileSync(this.#checkpointFile));
      if (isSigned(note, this.key)) return note;
    } catch (cause) {
      throw new VaultError('LOG_CORRUPT', `${this.#checkpointFile} is no checkpoint.`, { cause });
    }
    throw new VaultError('LOG_CORRUPT', `${this.#checkpointFile} is not signed by this log’s key.`);
  }

  /** Signs the tree of all entries, after writing its tiles: whoever sees the checkpoint finds them. */
  draft(now: Millis): Draft {
    const entries = this.entries();
    const published = this.published();
    const leaves = entries.map(leafHash);
    for (const tile of tilesOf(entries.length)) this.#writeTile(tile, entries, leaves);
    const note = this.#sign(entries, leaves, now);
    return { checkpoint: parseCheckpoint(note.text), note, leaves, published };
  }

  /**
   * Makes a draft public, with what cosigners added. Throws MALFORMED for more signatures than a note may have. Not in place of a larger tree that another process published meanwhile. (Should
   * that happen between the look and the write, the smaller one shows until the next publication: both are true.)
   */
  publish({ checkpoint, note }: Draft, cosignatures: readonly NoteSignature[]): Note {
    const cosigned = { text: note.text, signatures: [...note.signatures, ...cosignatures] };
    const bytes = formatNote(cosigned);
    parseNote(bytes); // as everyone will: what nobody can read would be the end of the log
    if (this.published().size <= checkpoint.size) writeDurably(this.#checkpointFile, bytes);
    return cosigned;
  }

  /** The proof file of an entry, under this checkpoint of the draft’s tree. */
  prove(index: number, { leaves }: Draft, note: Note): Bytes {
    return formatProof({ index, hashes: makeInclusionProof(index, leaves), note });
  }

  get #checkpointFile(): string {
    return join(this.#public, 'checkpoint');
  }

  #sign(entries: readonly Uint8Array[], leaves: readonly TreeHash[], now: Millis): Note {
    const extensions = this.#extensionsOf(entries);
    const text = formatCheckpoint({ origin: this.key.name, size: leaves.length, root: treeHash(leaves), extensions });
    const sign = (message: Uint8Array) => this.#signer.sign(message);
    return { text, signatures: [signText(text, this.key, sign), cosign(text, this.key, Math.floor(now / 1000), sign)] };
  }

  #writeTile(tile: Tile, entries: readonly Uint8Array[], leaves: readonly TreeHash[]): void {
    const path = join(this.#public, tilePath(tile));
    const first = tile.index * TILE_WIDTH;
    const { level } = tile;
    const content = level === 'entries' ? formatEntries(entries.slice(first, first + tile.width)) : tileHashes({ ...tile, level }, leaves);
    if (existsSync(path) && constantTimeEqual(readFileSync(path), content)) return; // tiles never change
    makeDirectoryDurably(dirname(path));
    writeDurably(path, content);
  }
}
