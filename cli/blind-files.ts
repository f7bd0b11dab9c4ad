import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { BlindStore } from '../client/blinds.ts';
import { SECRET } from '../fleet/produce/files.ts';
import { writeDurably } from '../fleet/witness/durable-file.ts';
import { VaultError } from '../primitives/errors.ts';

/** A file for each blind, in a directory of its own: then the same code is the same attempt after this process ended, too. Throws CONFIG_INVALID. */
export function blindFiles(directory: string): BlindStore {
  const fileOf = (name: string) => join(directory, name);
  const inPlace = <T>(access: () => T): T => {
    try {
      return access();
    } catch (cause) {
      throw new VaultError('CONFIG_INVALID', `Blinds cannot be kept in ${directory}: ${(cause as Error).message}`, { cause });
    }
  };
  inPlace(() => mkdirSync(directory, { recursive: true, mode: 0o700 }));
  return {
    load: async (name) => inPlace(() => (existsSync(fileOf(name)) ? readFileSync(fileOf(name)) : undefined)),
    save: async (name, secret) => inPlace(() => writeDurably(fileOf(name), secret, SECRET)),
    remove: async (name) => inPlace(() => rmSync(fileOf(name), { force: true })),
  };
}
