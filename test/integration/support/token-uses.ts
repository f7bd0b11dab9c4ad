import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { p256 } from '@noble/curves/nist.js';
import { loadProfile, modulePath } from '../../../daemon/token/profile.ts';
import { toHex } from '../../../primitives/bytes.ts';
import { packageRoot, profilePath } from '../../../primitives/package-root.ts';

/** Builds softhsm/counting-shim.c in front of the SoftHSM2 that the profile finds. Returns the module. */
export function compileShim(directory: string): string {
  const module = join(directory, 'counting-shim.so');
  const source = join(packageRoot, 'softhsm/counting-shim.c');
  const behind = modulePath(loadProfile(profilePath('softhsm2')));
  execFileSync('cc', ['-std=gnu11', '-Wall', '-Werror', '-shared', '-fPIC', `-DMODULE="${behind}"`, '-o', module, source, '-ldl']);
  return module;
}

/** What the keys of one token were used on from a moment on, as the shim in front of it wrote it down. */
export class TokenUses {
  readonly #file: string;
  readonly #from: number;

  /** From now on. */
  constructor(file: string) {
    this.#file = file;
    this.#from = read(file).length;
  }

  /**
   * The points that went into ECDH with a per-record key, compressed, in hexadecimal, each once. The key is known by the wrapped form
   * that it was unwrapped from.
   */
  pointsUnder(wrappedKey: Uint8Array): Set<string> {
    const blob = toHex(wrappedKey);
    const handles = new Map<string, string>(); // a handle means what was unwrapped to it last
    const points = new Set<string>();
    for (const [verb, key, data] of parse(read(this.#file).slice(this.#from))) {
      if (verb === 'initialise') handles.clear();
      else if (verb === 'unwrap') handles.set(key, data);
      else if (handles.get(key) === blob) points.add(toHex(p256.Point.fromHex(data).toBytes(true)));
    }
    return points;
  }
}

const read = (file: string): string => (existsSync(file) ? readFileSync(file, 'utf8') : '');

type Verb = 'initialise' | 'unwrap' | 'derive';

function parse(text: string): (readonly [verb: Verb, key: string, data: string])[] {
  const lines = text.split('\n').slice(0, -1); // a line without its end is still being written
  return lines.map((line) => line.split(' ') as [Verb, string, string]);
}
