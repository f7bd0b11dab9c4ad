import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Where package.json is: the same place whether this file runs from dist/ or from the sources. */
export const packageRoot = ((): string => {
  let directory = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(directory, 'package.json'))) {
    if (directory === dirname(directory)) throw new Error('package.json is not above this file: the installation is incomplete');
    directory = dirname(directory);
  }
  return directory;
})();

export const { version } = JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8')) as { version: string };

/** The vendor profile with this name. */
export const profilePath = (name: string): string => join(packageRoot, 'hsm-config', `${name}.yaml`);
