import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadProfile, modulePath } from '../../daemon/token/profile.ts';
import { packageRoot, profilePath } from '../../primitives/package-root.ts';

/** What tells the shim which module it stands in front of: SoftHSM2 unless told. */
export const behindShim = (module: string = modulePath(loadProfile(profilePath('softhsm2')))): { readonly FAULT_SHIM_MODULE: string } => ({
  FAULT_SHIM_MODULE: module,
});

/** Builds test/harness/fault-shim.c, which stands in front of any PKCS#11 module. Returns its path. */
export function compileFaultShim(directory: string): string {
  const module = join(directory, 'fault-shim.so');
  const source = join(packageRoot, 'test/harness/fault-shim.c');
  const flags = ['-std=gnu11', '-Wall', '-Wextra', '-Werror', '-O2', '-shared', '-fPIC'];
  execFileSync('cc', [...flags, '-o', module, source, '-ldl', '-lpthread']);
  return module;
}

/** The functions of Cryptoki, in the order of its list, as the shim has them. */
const functions = [...readFileSync(join(packageRoot, 'test/harness/fault-shim.c'), 'utf8').matchAll(/\bX\(\d+, (\w+)\)/g)].map(
  ([, name]) => `C_${name}`,
);

/** The faults of one token: test/harness/fault-shim.c says what they are. The process that loads the shim gets `FAULT_SHIM_MODULE`. */
export class Faults {
  readonly #file: string;

  /** Of the token that `softHsmConf` (SOFTHSM2_CONF) leads to. */
  constructor(softHsmConf: string) {
    this.#file = `${softHsmConf}.faults`;
    this.none();
  }

  /** How many calls were made into the shim, by all processes, or to one function of Cryptoki. */
  calls(name?: string): number {
    const counts = `${this.#file}.calls`;
    const place = name === undefined ? 0 : functions.indexOf(name) + 1;
    if (name !== undefined && place === 0) throw new RangeError(`${name} is no function of Cryptoki`);
    return existsSync(counts) ? Number(readFileSync(counts).readBigUInt64LE(8 * place)) : 0;
  }

  /** From now on these and no others. */
  set(...directives: readonly string[]): void {
    writeFileSync(`${this.#file}.new`, directives.map((line) => `${line}\n`).join(''));
    renameSync(`${this.#file}.new`, this.#file);
  }

  none(): void {
    this.set();
  }
}
