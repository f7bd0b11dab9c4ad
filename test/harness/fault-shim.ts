import { execFileSync } from 'node:child_process';
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import koffi from 'koffi';
import { loadProfile, modulePath } from '../../daemon/token/profile.ts';
import { packageRoot, profilePath } from '../../primitives/package-root.ts';

/** What tells the shim which module it stands in front of: SoftHSM2 unless told. */
export const behindShim = (module: string = modulePath(loadProfile(profilePath('softhsm2')))): { readonly FAULT_SHIM_MODULE: string } => ({
  FAULT_SHIM_MODULE: module,
});

/** Builds softhsm/fault-shim.c, which stands in front of any PKCS#11 module. Returns its path. */
export function compileFaultShim(directory: string): string {
  const module = join(directory, 'fault-shim.so');
  const source = join(packageRoot, 'softhsm/fault-shim.c');
  const flags = ['-std=gnu11', '-Wall', '-Wextra', '-Werror', '-O2', '-shared', '-fPIC'];
  execFileSync('cc', [...flags, '-o', module, source, '-ldl', '-lpthread']);
  return module;
}

/** The faults of one token: softhsm/fault-shim.c says what they are. The process that loads the shim gets `FAULT_SHIM_MODULE`. */
export class Faults {
  readonly #file: string;

  /** Of the token that `softHsmConf` (SOFTHSM2_CONF) leads to. */
  constructor(softHsmConf: string) {
    this.#file = `${softHsmConf}.faults`;
    this.none();
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

/** How many calls this process has made into the shim. */
export function callsInto(shim: string): () => number {
  const count = koffi.load(shim).func('unsigned long fault_shim_calls()');
  return () => Number(count());
}

/** The same for one function of Cryptoki. */
export function callsTo(shim: string): (name: string) => number {
  const count = koffi.load(shim).func('unsigned long fault_shim_calls_to(const char *name)');
  return (name) => Number(count(name));
}
