import { readFileSync } from 'node:fs';
import { VaultError } from '../primitives/errors.ts';
import { SecretBytes } from '../primitives/secret-bytes.ts';

/** A PIN alone in a file, with or without a line end. */
export function readPin(file: string): SecretBytes {
  try {
    return new SecretBytes(Buffer.from(readFileSync(file, 'utf8').trim()));
  } catch (cause) {
    throw new VaultError('CONFIG_INVALID', `Cannot read the PIN file ${file}: ${(cause as Error).message}`, { cause });
  }
}
