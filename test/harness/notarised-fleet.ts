import { execFileSync } from 'node:child_process';
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { tileHashes, tilePath } from '../../fleet/log/tile.ts';
import { toHex } from '../../primitives/bytes.ts';
import { packageRoot } from '../../primitives/package-root.ts';
import { encodeStatement, parseStatement, type Statement } from '../../protocol/statement.ts';
import { earlierAfter } from '../../protocol/terms.ts';
import type { DevFleet } from './dev-fleet.ts';
import { DAY, type SoftNotary } from './soft-notary.ts';
import { softPolicy } from './test-log.ts';

const PATIENCE = 60_000;

/** The next statement of the same replicas. */
export function nextEpoch({ document, hash }: Statement): Statement {
  return parseStatement(
    encodeStatement({ ...document, epoch: document.epoch + 1, previous: toHex(hash), earlier: earlierAfter(document, []) }),
  );
}

/** What replicas read when they start. */
export function putStatement(fleet: DevFleet, { bytes }: Statement): void {
  const path = join(fleet.directory, 'statement.json');
  writeFileSync(`${path}.new`, bytes);
  renameSync(`${path}.new`, path);
}

/** Publishes as an operator does: files, the log's directory, `bkvctl bundle publish`. Returns what it printed. */
export function publishBundle(fleet: DevFleet, notary: SoftNotary, statement: Uint8Array, now = Date.now()): Record<string, unknown> {
  const { smime, logProof } = notary.publish(statement, now);
  const path = (name: string) => join(fleet.directory, name);
  writeFileSync(path('validation-bundle.txt'), smime);
  writeFileSync(path('log-proof.txt'), logProof);
  const { leaves } = notary;
  const tile = { level: 0, index: 0, width: leaves.length } as const;
  const tileFile = path(join('log', tilePath(tile)));
  mkdirSync(dirname(tileFile), { recursive: true });
  writeFileSync(tileFile, tileHashes(tile, leaves));
  const files = [path('validation-bundle.txt'), path('log-proof.txt')];
  return JSON.parse(bkvctl('--json', 'bundle', 'publish', ...files, '--config', fleet.replica(1).place.config, '--log', path('log')));
}

export const bkvctl = (...args: string[]): string =>
  execFileSync(process.execPath, [join(packageRoot, 'dist/cli/main.js'), ...args]).toString();

/** Replicas look for bundles a few times a second: asks until it passes. */
export async function untilPasses<T>(act: () => Promise<T>): Promise<T> {
  for (const deadline = performance.now() + PATIENCE; ; await delay(100))
    try {
      return await act();
    } catch (error) {
      if (performance.now() > deadline) throw error;
    }
}

/** A client file that trusts the witness and pins nothing. Returns its path. */
export function witnessedClientFile({ directory, client }: DevFleet, notary: SoftNotary): string {
  const path = (name: string) => join(directory, name);
  writeFileSync(path('operator-ca.pem'), notary.operator.ca);
  writeFileSync(path('witness-ca.pem'), notary.witness.ca);
  writeFileSync(path('log-policy.txt'), softPolicy(notary.log, notary.cosigners, 2));
  const trust = {
    operator_ca: 'operator-ca.pem',
    witness_ca: 'witness-ca.pem',
    log_policy: 'log-policy.txt',
    epoch_least: 1,
    operators_least: 1,
    checkpoint_age_most_ms: 7 * DAY,
    memory: 'trust-memory.json',
  };
  const { statement_hashes: _pinned, ...rest } = client;
  writeFileSync(path('witnessed.json'), JSON.stringify({ ...rest, trust }));
  return path('witnessed.json');
}
