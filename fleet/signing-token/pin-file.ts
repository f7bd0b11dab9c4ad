import { readFileSync } from 'node:fs';
import { VaultError } from '../../primitives/errors.ts';
import { SecretBytes } from '../../primitives/secret-bytes.ts';

/** A PIN comes from a file: an argument or a variable would show it to others. Throws CONFIG_INVALID. */
export function readPin(file: string): SecretBytes {
  try {
    return new SecretBytes(Buffer.from(readFileSync(file, 'utf8').trim()));
  } catch (cause) {
    throw new VaultError('CONFIG_INVALID', `Cannot read the PIN file ${file}: ${(cause as Error).message}`, { cause });
  }
}
