import { readFileSync } from 'node:fs';
import { InvalidArgumentError } from 'commander';
import { loadProfile, type Profile } from '../daemon/token/profile.ts';
import type { Ports } from '../fleet/produce/fleet-plan.ts';
import { VaultError } from '../primitives/errors.ts';
import { profilePath } from '../primitives/package-root.ts';

export function integer(value: string): number {
  if (!/^\d{1,9}$/.test(value)) throw new InvalidArgumentError('It must be a whole number.');
  return Number(value);
}

/** An option that may be given again, as `index=value`. */
export function ofReplica(value: string, before: Record<number, string>): Record<number, string> {
  const [, index, given] = /^([1-9]\d?)=(.+)$/.exec(value) ?? [];
  if (index === undefined || given === undefined) throw new InvalidArgumentError('It must be index=value, as 2=nss-softokn.');
  return { ...before, [index]: given };
}

/** Those of one replica: this one and the two after it. */
export const portsFrom = (first: number): Ports => ({ frontend: first, peer: first + 1, metrics: first + 2 });

export function urls(value: string): string[] {
  return value.split(',').map((url) => {
    if (!/^https:\/\/[^/\s]+$/.test(url)) throw new InvalidArgumentError('Each must be https://host:port, separated by commas.');
    return url;
  });
}

/** A file that an argument, or a file it names, points to; `what` it is comes before its name. Throws CONFIG_INVALID. */
export function readInput(file: string, what = '', whose = ''): Buffer<ArrayBuffer> {
  try {
    return readFileSync(file);
  } catch (cause) {
    throw new VaultError('CONFIG_INVALID', `Cannot read ${what}${file}${whose}: ${(cause as Error).message}`, { cause });
  }
}

/** A vendor profile: a file of hsm-config/ without its ending, or a path. Throws CONFIG_INVALID. */
export const openProfile = (profile: string): Profile => loadProfile(profile.includes('/') ? profile : profilePath(profile));
