import { readdirSync, readFileSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { VaultError } from '../../primitives/errors.ts';
import type { EvidenceFiles } from '../verify/files.ts';

/** Every file of an evidence directory. Throws CONFIG_INVALID when it cannot be read; links are not followed. */
export function readEvidence(directory: string): EvidenceFiles {
  try {
    const entries = readdirSync(directory, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    return new Map(
      entries.map((entry) => {
        const path = join(entry.parentPath, entry.name);
        return [relative(directory, path).replaceAll(sep, '/'), new Uint8Array(readFileSync(path))];
      }),
    );
  } catch (cause) {
    throw new VaultError('CONFIG_INVALID', `The directory ${directory} cannot be read: ${(cause as Error).message}`, { cause });
  }
}
