import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { VaultError } from '../../primitives/errors.ts';
import { packageRoot } from '../../primitives/package-root.ts';
import type { EvidenceFiles } from '../verify/files.ts';

const EMPTY = '<script type="application/json" id="evidence">null</script>';

/** The page as `make build` leaves it: it verifies, and holds no evidence yet. Throws CONFIG_INVALID when there is none. */
export function pageTemplate(): string {
  const path = join(packageRoot, 'dist/web/evidence/index.html');
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new VaultError('CONFIG_INVALID', `The page ${path} is not there: run make build first.`, { cause });
  }
}

/** The page with the evidence in it: one file that asks no network. It is data to the page, as base64, and never markup. */
export function buildPage(template: string, files: EvidenceFiles): string {
  const [head, tail, more] = template.split(EMPTY);
  if (head === undefined || tail === undefined || more !== undefined)
    throw new VaultError('CONFIG_INVALID', 'The template is not the page of this version.');
  const kept = [...files].filter(([name]) => name !== 'index.html');
  const json = JSON.stringify(Object.fromEntries(kept.map(([name, bytes]) => [name, Buffer.from(bytes).toString('base64')])));
  return `${head}${EMPTY.replace('null', () => json.replaceAll('<', '\\u003c'))}${tail}`;
}
