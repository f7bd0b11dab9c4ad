import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { p256 } from '@noble/curves/nist.js';
import { loadProfile, modulePath } from '../../../daemon/token/profile.ts';
import { fromHex, toHex } from '../../../primitives/bytes.ts';
import { packageRoot, profilePath } from '../../../primitives/package-root.ts';
import { tweakFrom } from '../../../protocol/scalar.ts';
import type { SubRecord } from '../../../protocol/sub-record.ts';
import { tweakTranscript } from '../../../protocol/transcripts.ts';

/** Builds test/harness/counting-shim.c in front of the SoftHSM2 that the profile finds. Returns the module. */
export function compileShim(directory: string): string {
  const module = join(directory, 'counting-shim.so');
  const source = join(packageRoot, 'test/harness/counting-shim.c');
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
   * Which points were evaluated under the seed that a replica stored for a generation: their x coordinates in hexadecimal, each once. The
   * token saw their products with the tweak, and gave the HMAC that the tweak is made of.
   */
  evaluatedUnder({ fleet, rid, g }: { fleet: string; rid: Uint8Array; g: Uint8Array }, { index, seed }: SubRecord): Set<string> {
    const asked = toHex(tweakTranscript('oprf', { fleet, index, rid, g, seed }).digest);
    const tweaks = new Map<string, bigint>(); // by session, from its HMAC to the derivation that follows
    const points = new Set<string>();
    for (const [verb, session, data, result] of parse(read(this.#file).slice(this.#from)))
      if (verb === 'sign' && result !== undefined && data === asked) tweaks.set(session, Fn.fromBytes(tweakFrom(fromHex(result, 'a MAC'))));
      else {
        const tweak = tweaks.get(session);
        tweaks.delete(session);
        if (verb === 'derive' && tweak !== undefined) points.add(toHex(divide(data, tweak)));
      }
    return points;
  }
}

const { Fn } = p256.Point;

/** The x coordinate that a tweak made this point of. */
const divide = (point: string, tweak: bigint): Uint8Array => p256.Point.fromHex(point).multiply(Fn.inv(tweak)).toBytes(true).slice(1);

const read = (file: string): string => (existsSync(file) ? readFileSync(file, 'utf8') : '');

type Line = readonly [verb: 'sign' | 'derive', session: string, data: string, result?: string];

function parse(text: string): Line[] {
  const lines = text.split('\n').slice(0, -1); // a line without its end is still being written
  return lines.map((line) => line.split(' ') as unknown as Line);
}
