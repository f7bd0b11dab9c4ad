import { closeSync, fsyncSync, openSync, rmSync, writeSync } from 'node:fs';
import { VaultError } from '../primitives/errors.ts';
import { SecretBytes } from '../primitives/secret-bytes.ts';
import { BACKUP_KEY_LENGTH } from '../protocol/body.ts';
import { readInput } from './arguments.ts';

/** A backup key lies in a file as its bare bytes. */
export function readKeyFile(file: string): SecretBytes {
  const bytes = readInput(file, 'the backup key ');
  if (bytes.length !== BACKUP_KEY_LENGTH)
    throw new VaultError('MALFORMED', `A backup key has ${BACKUP_KEY_LENGTH} random bytes; ${file} has ${bytes.length}.`);
  const key = new SecretBytes(bytes);
  bytes.fill(0);
  return key;
}

/**
 * Takes the place of a key before the key is there: that the file exists, or cannot be written, must be known before an attempt
 * is spent. Removes it again if `make` fails.
 */
export async function withNewKeyFile<T>(file: string, make: (write: (key: Uint8Array) => void) => Promise<T>): Promise<T> {
  const descriptor = openNew(file);
  try {
    return await make((key) => {
      writeSync(descriptor, key);
      fsyncSync(descriptor);
    });
  } catch (error) {
    rmSync(file, { force: true });
    throw error;
  } finally {
    closeSync(descriptor);
  }
}

function openNew(file: string): number {
  try {
    return openSync(file, 'wx', 0o600);
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const why = code === 'EEXIST' ? 'it exists already; nothing is overwritten, and nothing was sent' : message;
    throw new VaultError('CONFIG_INVALID', `Cannot write the backup key ${file}: ${why}.`, { cause });
  }
}
