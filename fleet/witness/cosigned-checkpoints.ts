import { join } from 'node:path';
import { parseCheckpoint } from '../log/checkpoint.ts';
import { formatNote, type Note } from '../log/note.ts';
import { makeDirectoryDurably, writeDurably } from './durable-file.ts';
import { originHash } from './memory.ts';

/**
 * What a cosigner shows of each log that it follows (c2sp.org/tlog-witness, Monitor Retrieval Mechanism): the last checkpoint that it
 * cosigned, in `public/<SHA-256 of the origin, in hexadecimal>/checkpoint`. Nothing rests on these files: the next cosignature makes one again.
 */
export class CosignedCheckpoints {
  readonly #directory: string;

  /** The witness's. */
  constructor(directory: string) {
    this.#directory = join(directory, 'public');
  }

  /** `note` carries the log's signature and the cosignature, and no others: whoever submits it must not choose what is shown. */
  show(note: Note): void {
    const place = join(this.#directory, originHash(parseCheckpoint(note.text).origin));
    makeDirectoryDurably(place);
    writeDurably(join(place, 'checkpoint'), formatNote(note));
  }
}
