import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../../primitives/clock.ts';
import { VaultError } from '../../primitives/errors.ts';
import { makeDirectory, PUBLIC, writeNew } from '../produce/files.ts';
import { encodeCanonical, hexHash } from '../verify/files.ts';
import { MANIFEST_TYPE } from '../verify/manifest.ts';
import { NO_LINE, type TranscriptLine } from '../verify/transcript.ts';

const TRANSCRIPT = 'transcript.jsonl';

/**
 * A new evidence directory while a ceremony goes on. Every file is created exclusively, and every line of the transcript is on the disk
 * before the next step begins: a ceremony that breaks off leaves what it did.
 */
export class EvidenceWriter {
  readonly directory: string;
  readonly #clock: Clock;
  readonly #transcript: number;
  readonly #hashes = new Map<string, string>();
  readonly #text: Buffer[] = [];
  #head = NO_LINE;
  #at = 0;

  /** Throws CONFIG_INVALID when the directory exists. */
  constructor(directory: string, clock: Clock) {
    this.directory = makeDirectory(directory);
    this.#clock = clock;
    this.#transcript = openSync(join(directory, TRANSCRIPT), 'wx', PUBLIC);
  }

  /** SHA-256 of the transcript's last line. */
  get head(): string {
    return this.#head;
  }

  /** Adds a line to the transcript. Time never goes back in it, whatever the machine's clock does. */
  tell(event: string, data: TranscriptLine['data']): void {
    this.#at = Math.max(this.#at, this.#clock.now());
    const line = encodeCanonical({ seq: this.#text.length + 1, at: new Date(this.#at).toISOString(), event, data, prev: this.#head });
    const written = Buffer.concat([line, Buffer.from('\n')]);
    writeSync(this.#transcript, written);
    fsyncSync(this.#transcript);
    this.#text.push(written);
    this.#head = hexHash(line);
  }

  folder(name: string): void {
    makeDirectory(join(this.directory, name));
  }

  /** Writes a file that the manifest will name; returns its SHA-256. */
  write(name: string, data: Uint8Array): string {
    writeNew(join(this.directory, name), data, PUBLIC);
    const hash = hexHash(data);
    this.#hashes.set(name, hash);
    return hash;
  }

  /** Ends the transcript and writes the manifest over every file; returns its SHA-256, which the statement names. */
  seal(): string {
    if (this.#hashes.has(TRANSCRIPT)) throw new VaultError('INTERNAL', 'the evidence is sealed already');
    closeSync(this.#transcript);
    this.#hashes.set(TRANSCRIPT, hexHash(Buffer.concat(this.#text)));
    const manifest = encodeCanonical({ type: MANIFEST_TYPE, files: Object.fromEntries(this.#hashes) });
    writeNew(join(this.directory, 'manifest.json'), manifest, PUBLIC);
    return hexHash(manifest);
  }
}
