import { readFileSync } from 'node:fs';
import pLimit from 'p-limit';
import { type NoteKey, parseNoteKey } from '../fleet/log/note-key.ts';
import type { Millis } from '../primitives/brand.ts';
import { isVaultError, VaultError } from '../primitives/errors.ts';

const DEADLINE: Millis = 10_000;
const AT_ONCE = 8;

/** One file of a log over HTTP. Undefined where there is none; throws LOG_UNAVAILABLE. */
export async function fetchFile(log: string, path: string): Promise<Uint8Array | undefined> {
  const url = `${log.replace(/\/+$/, '')}/${path}`;
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(DEADLINE) });
    if (response.status === 404) return undefined;
    if (!response.ok) throw new Error(`status ${response.status}`);
    return new Uint8Array(await response.arrayBuffer());
  } catch (cause) {
    const { message, cause: deeper } = cause as Error;
    throw new VaultError('LOG_UNAVAILABLE', `${url} does not answer: ${deeper instanceof Error ? deeper.message : message}.`, { cause });
  }
}

/** Those of the files that are there. */
export async function fetchFiles(log: string, paths: readonly string[]): Promise<Map<string, Uint8Array>> {
  const limit = pLimit(AT_ONCE);
  const files = await Promise.all(paths.map((path) => limit(async () => [path, await fetchFile(log, path)] as const)));
  return new Map(files.filter((file): file is [string, Uint8Array] => file[1] !== undefined));
}

/** A vkey on each line. Throws CONFIG_INVALID naming the file. */
export function readKeys(file: string): NoteKey[] {
  const lines = read(file)
    .toString('utf8')
    .split('\n')
    .map((line) => line.trim());
  try {
    return lines.filter((line) => line !== '').map(parseNoteKey);
  } catch (cause) {
    throw isVaultError(cause) ? new VaultError('CONFIG_INVALID', `${file}: ${cause.message}`, { cause }) : cause;
  }
}

export function read(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (cause) {
    throw new VaultError('CONFIG_INVALID', `Cannot read ${file}: ${(cause as Error).message}`, { cause });
  }
}
