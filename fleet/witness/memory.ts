import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { toBase64 } from '../../primitives/base64.ts';
import { utf8 } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import { parseHash } from '../log/checkpoint.ts';
import { formatNoteKey, type NoteKey, parseNoteKey } from '../log/note-key.ts';
import { type TreeHash, treeHash } from '../log/tree.ts';
import { NumberedFiles } from './numbered-files.ts';

/** What a cosigner remembers of another log: its key, and the largest tree that it cosigned. */
export interface Remembered {
  readonly logKey: NoteKey;
  /** How often it was raised: the condition of the next write. */
  readonly revision: number;
  readonly size: number;
  readonly root: TreeHash;
}

const recordSchema = z.strictObject({ log: z.string(), size: z.int().nonnegative(), root: z.string() });

/**
 * The logs that this witness follows. One directory for each, made by the explicit command and never by a request: where it is lost,
 * the log is unknown and nothing is cosigned. A record is written only as the one after the record that was read, so that of two
 * requests at the same time, in one process or two, one has to look again.
 */
export class CosignerMemory {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = join(directory, 'cosigned');
  }

  /** Begins to follow a log, from the empty tree. Throws CONFIG_INVALID when it is followed already. */
  follow(logKey: NoteKey): void {
    const files = this.#files(logKey.name);
    files.make();
    if (!files.append(0, encode(logKey, 0, treeHash([]))))
      throw new VaultError('CONFIG_INVALID', `The log ${logKey.name} is followed already: what is remembered of it stays.`);
  }

  /** Undefined for a log that is not followed. Throws LOG_MISSING, LOG_CORRUPT. */
  read(origin: string): Remembered | undefined {
    if (!existsSync(this.#place(origin))) return undefined;
    const last = this.#files(origin).last();
    if (last === undefined) throw new VaultError('LOG_MISSING', `Nothing is remembered of ${origin}, which is followed: not even its key.`);
    return { ...decode(last.data, origin), revision: last.number };
  }

  /** Durable when it returns. False if another request raised it in the meantime. */
  raise(before: Remembered, size: number, root: TreeHash): boolean {
    return this.#files(before.logKey.name).append(before.revision + 1, encode(before.logKey, size, root));
  }

  // A log's name may hold anything; a hash of it is a name for a directory.
  #place(origin: string): string {
    return join(this.#directory, originHash(origin));
  }

  #files(origin: string): NumberedFiles {
    return new NumberedFiles(this.#place(origin));
  }
}

/** Hexadecimal SHA-256 of a log's origin. */
export const originHash = (origin: string): string => createHash('sha256').update(origin).digest('hex');

const encode = (logKey: NoteKey, size: number, root: TreeHash): Uint8Array =>
  utf8(`${JSON.stringify({ log: formatNoteKey(logKey), size, root: toBase64(root) } satisfies z.infer<typeof recordSchema>)}\n`);

function decode(bytes: Uint8Array, origin: string): Omit<Remembered, 'revision'> {
  try {
    const { log, size, root } = recordSchema.parse(JSON.parse(new TextDecoder().decode(bytes)));
    const logKey = parseNoteKey(log);
    if (logKey.name !== origin) throw new Error('it is of another log');
    return { logKey, size, root: parseHash(root, 'The root remembered') };
  } catch (cause) {
    throw new VaultError('LOG_CORRUPT', `What is remembered of ${origin} cannot be read.`, { cause });
  }
}
