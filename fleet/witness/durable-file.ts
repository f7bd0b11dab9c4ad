import { randomUUID } from 'node:crypto';
import { closeSync, fsyncSync, linkSync, mkdirSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

// Files of which a reader, and a crash, sees the old or the new one, whole.

/** Where it was there before, it is replaced. */
export function writeDurably(path: string, data: Uint8Array, mode = READABLE): void {
  withTemporary(path, data, mode, (temporary) => renameSync(temporary, path));
}

/**
 * Only where it is not there: false if it is. Two processes that try at the same time are told apart by the file system, and so a
 * number in a file's name is given out once.
 */
export function createDurably(path: string, data: Uint8Array): boolean {
  return withTemporary(path, data, READABLE, (temporary) => {
    try {
      linkSync(temporary, path); // fails where rename would replace
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
      throw error;
    }
  });
}

const READABLE = 0o644;

export const isTemporary = (name: string): boolean => name.startsWith('.new-');

function withTemporary<T>(path: string, data: Uint8Array, mode: number, place: (temporary: string) => T): T {
  const directory = dirname(path);
  const temporary = join(directory, `.new-${randomUUID()}`);
  try {
    writeFileSync(temporary, data, { flag: 'wx', mode, flush: true });
    return place(temporary);
  } finally {
    rmSync(temporary, { force: true });
    syncDirectory(directory);
  }
}

/** Makes it with its parents; all of them survive a crash. */
export function makeDirectoryDurably(path: string): void {
  const first = mkdirSync(path, { recursive: true });
  for (let made = path; first !== undefined && made.length >= first.length; made = dirname(made)) syncDirectory(dirname(made));
}

function syncDirectory(path: string): void {
  const directory = openSync(path, 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}
