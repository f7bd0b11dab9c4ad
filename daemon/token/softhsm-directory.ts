import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const TOKENS = '@TOKENS@';

/**
 * Makes an isolated SoftHSM2 directory out of softhsm/softhsm2.conf and returns the path for SOFTHSM2_CONF. Set that before the module
 * is loaded first in a process: afterwards it has no effect. An existing directory keeps its tokens.
 */
export function makeSoftHsmDirectory(directory: string, template: string): string {
  const tokens = join(directory, 'tokens');
  mkdirSync(tokens, { recursive: true, mode: 0o700 }); // the keys lie here, under the PIN
  const path = join(directory, 'softhsm2.conf');
  writeFileSync(
    path,
    readFileSync(template, 'utf8').replace(TOKENS, () => tokens),
    { mode: 0o600 },
  );
  return path;
}
