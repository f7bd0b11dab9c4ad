import { execFileSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Millis } from '../../primitives/brand.ts';
import { packageRoot } from '../../primitives/package-root.ts';

export type DiskFault = 'full' | 'broken' | { readonly slow: Millis };

/** Builds disk-shim.c, to be preloaded into a daemon with BKV_DISK=<directory>. */
export function compileDiskShim(into: string): string {
  const library = join(into, 'disk-shim.so');
  const source = join(packageRoot, 'test/fault/disk-shim.c');
  execFileSync('cc', ['-std=gnu11', '-Wall', '-Werror', '-shared', '-fPIC', '-o', library, source, '-ldl']);
  return library;
}

/** From now on what is below `directory` is on a bad disk. */
export const breakDisk = (directory: string, fault: DiskFault): void =>
  writeFileSync(`${directory}.fault`, typeof fault === 'string' ? fault : `slow ${fault.slow}`);

export const mendDisk = (directory: string): void => rmSync(`${directory}.fault`, { force: true });
