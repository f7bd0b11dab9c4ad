import { readFileSync } from 'node:fs';
import { VaultError } from '../primitives/errors.ts';

/** A file that an argument names. Throws CONFIG_INVALID. */
export function readPublic(file: string): Uint8Array {
  try {
    return readFileSync(file);
  } catch (cause) {
    throw new VaultError('CONFIG_INVALID', `Cannot read ${file}: ${(cause as Error).message}`, { cause });
  }
}
