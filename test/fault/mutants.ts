import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../primitives/package-root.ts';

/** A daemon broken on purpose: lines of what the compiler made are others. */
export interface Mutant {
  readonly name: string;
  readonly changes: readonly Change[];
}

interface Change {
  readonly file: string;
  readonly line: string;
  readonly instead: string;
}

export const mutants = {
  skipGuard: {
    name: 'votes without counting',
    changes: [{ file: 'daemon/ledger/guard.js', line: 'if (entries.size === 0)', instead: 'if (true)' }],
  },
  // What such a write loses, guards remember, and a coordinator puts it back from them (REORDER): so this one does not do that either.
  dropCompare: {
    name: 'writes to etcd whatever happened since it read',
    changes: [
      {
        file: 'daemon/ledger/transactions.js',
        line: 'conditions: this.#conditions(rid, register),',
        instead: 'conditions: this.#conditions(rid, register).slice(1),', // the first is the one on the revision
      },
      { file: 'daemon/replica/count.js', line: 'if (isMisplaced(voted, attempt) && !isPlaced)', instead: 'if (false)' },
    ],
  },
  // The library's own blind retry alone harms nobody: the retried transaction fails its compare, and the attempt is then found in the
  // register. So this one also leaves out the look whether it is there.
  spendAgain: {
    name: 'takes an unknown outcome for a failure, and spends again',
    changes: [
      {
        file: 'daemon/ledger/attempts.js',
        line: 'const known = attempts.points.findIndex(({ hash }) => constantTimeEqual(hash, point.pointHash));',
        instead: 'const known = -1;',
      },
    ],
  },
} as const satisfies Record<string, Mutant>;

/** Copies dist/, and changes the lines in the copy. Returns the daemon. Throws where there is not exactly one such line: then it moved. */
export function makeMutant({ name, changes }: Mutant): string {
  const directory = join(packageRoot, 'build/mutants', name.replaceAll(/[^a-z]+/g, '-'));
  rmSync(directory, { recursive: true, force: true });
  cpSync(join(packageRoot, 'dist'), directory, { recursive: true });
  for (const { file, line, instead } of changes) {
    const source = readFileSync(join(directory, file), 'utf8');
    if (source.split(line).length !== 2) throw new Error(`${file} has not exactly one "${line}": make the mutant anew`);
    writeFileSync(join(directory, file), source.replace(line, instead));
  }
  return join(directory, 'daemon/main.js');
}
