import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { BlindStore } from '../client/blinds.ts';
import { SECRET } from '../fleet/produce/files.ts';
import { writeDurably } from '../fleet/witness/durable-file.ts';
import { VaultError } from '../primitives/errors.ts';

/** A file for each blind, in a directory of its own: then the same code is the same attempt after this process ended, too. Throws CONFIG_INVALID. */
export function blindFiles(directory: string): BlindStore {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const fileOf = (name: string) => join(directory, name);
  return {
    load: async (name) => {
      try {
        return readFileSync(fileOf(name));
      } catch (cause) {
        if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
        throw new VaultError('CONFIG_INVALID', `The blind ${fileOf(name)} cannot be read: ${(cause as Error).message}`, { cause });
      }
    },
    save: async (name, secret) => writeDurably(fileOf(name), secret, SECRET),
    remove: async (name) => rmSync(fileOf(name), { force: true }),
  };
}
