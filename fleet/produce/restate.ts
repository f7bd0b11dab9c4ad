import { readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { toHex } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import { encodeStatement, parseStatement, type Statement } from '../../protocol/statement.ts';
import { PUBLIC, writeNew } from './files.ts';
import { placeOf, type ReplicaPlace } from './fleet-plan.ts';
import type { Provisioned } from './token-reading.ts';

/** What happened to the fleet since its last statement. */
interface Incidents {
  /** etcd was restored from a snapshot, or lost. */
  readonly storeRestored: boolean;
  /** Replicas whose guard was lost and begins anew. */
  readonly guardsLost: readonly number[];
  /** Makes the keys of a replica for the epoch to come, where they are rotated. */
  readonly rotate?: (place: ReplicaPlace, epoch: number) => Promise<Provisioned>;
}

/** Throws CONFIG_INVALID. */
function expectChange(last: Statement, { storeRestored, guardsLost, rotate }: Incidents): void {
  const unknown = guardsLost.find((index) => !last.replicas.some((replica) => replica.index === index));
  if (unknown !== undefined) throw new VaultError('CONFIG_INVALID', `The fleet has no replica ${unknown}.`);
  if (!storeRestored && guardsLost.length === 0 && !rotate)
    throw new VaultError('CONFIG_INVALID', 'Nothing changed: name what was restored or lost, or have the keys rotated.');
}

/** The next statement of a fleet: epoch and incarnations one higher. `rotated`: each replica's new keys, in order. */
function nextStatement(last: Statement, { storeRestored, guardsLost }: Incidents, rotated: readonly Provisioned[]): Statement {
  const { document } = last;
  const bytes = encodeStatement({
    ...document,
    epoch: document.epoch + 1,
    previous: toHex(last.hash),
    store_incarnation: document.store_incarnation + Number(storeRestored),
    replicas: document.replicas.map((replica, i) => ({
      ...{ ...replica, ...rotated[i] },
      guard_incarnation: replica.guard_incarnation + Number(guardsLost.includes(replica.index)),
    })),
  });
  return parseStatement(bytes);
}

/**
 * Puts the next statement of a development fleet in the place of the last, which stays as statement-<epoch>.json, and lets the client
 * file trust it as well. Replicas read it when they start.
 */
export async function restateFleet(directory: string, incidents: Incidents): Promise<Statement> {
  const path = join(directory, 'statement.json');
  const last = parseStatement(read(path));
  expectChange(last, incidents);
  const rotated: Provisioned[] = [];
  if (incidents.rotate)
    for (const { index } of last.replicas) rotated.push(await incidents.rotate(placeOf(directory, last.fleet, index), last.epoch + 1));
  const next = nextStatement(last, incidents, rotated);
  writeNew(join(directory, `statement-${last.epoch}.json`), last.bytes, PUBLIC);
  replace(path, next.bytes);
  const clientFile = join(directory, 'client.json');
  const client = JSON.parse(read(clientFile).toString()) as { statement_hashes: string[] };
  client.statement_hashes.push(toHex(next.hash));
  replace(clientFile, Buffer.from(`${JSON.stringify(client, null, 2)}\n`));
  return next;
}

function read(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new VaultError('CONFIG_INVALID', `Cannot read ${path}: is this the directory of a development fleet?`, { cause });
  }
}

/** Whoever reads sees the old file or the new one, whole. */
function replace(path: string, data: Uint8Array): void {
  writeNew(`${path}.new`, data, PUBLIC);
  renameSync(`${path}.new`, path);
}
