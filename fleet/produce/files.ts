import { randomBytes } from 'node:crypto';
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { VaultError } from '../../primitives/errors.ts';
import type { Identity } from './authority.ts';

/** Everything that production writes goes through here: nothing is overwritten unasked, and a secret is its owner's alone from its first byte. */

export const SECRET = 0o600;
export const PUBLIC = 0o644;

/** Throws CONFIG_INVALID when the directory is there already, whatever is in it. */
export function makeDirectory(path: string): string {
  return existsNot(path, () => {
    mkdirSync(path, { mode: 0o700 });
    return path;
  });
}

/** Throws CONFIG_INVALID when the file is there already. */
export function writeNew(path: string, data: string | Uint8Array, mode: typeof SECRET | typeof PUBLIC): string {
  return existsNot(path, () => {
    writeFileSync(path, data, { flag: 'wx', mode, flush: true });
    return path;
  });
}

/** Certificate and key side by side: `<name>.crt`, `<name>.key`. */
export function writeIdentity(directory: string, name: string, identity: Identity): { cert: string; key: string } {
  return {
    cert: writeNew(join(directory, `${name}.crt`), identity.certificate, PUBLIC),
    key: writeNew(join(directory, `${name}.key`), identity.key, SECRET),
  };
}

/** Of a token to be made. Returns the officer's. */
export function writePins(directory: string): string {
  writeNew(join(directory, 'pin'), newPin(), SECRET);
  return writeNew(join(directory, 'so-pin'), newPin(), SECRET);
}

/** 128 bits: nobody types a development fleet's PIN. */
const newPin = () => randomBytes(16).toString('hex');

/** For the few files that change. Whoever reads sees the old file or the new one, whole. */
export function replace(path: string, data: Uint8Array): void {
  writeNew(`${path}.new`, data, PUBLIC);
  renameSync(`${path}.new`, path);
}

function existsNot(path: string, make: () => string): string {
  try {
    return make();
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === 'EEXIST')
      throw new VaultError('CONFIG_INVALID', `${path} exists already and is left as it is: choose another place, or remove it.`, { cause });
    if (code === 'ENOENT')
      throw new VaultError('CONFIG_INVALID', `The directory that should hold ${path} does not exist: make it first.`, { cause });
    throw new VaultError('CONFIG_INVALID', `Cannot write ${path}: ${message}`, { cause });
  }
}
