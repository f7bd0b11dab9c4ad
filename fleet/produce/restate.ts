import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Millis } from '../../primitives/brand.ts';
import { toHex } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import { MAX_REPLICAS } from '../../protocol/body.ts';
import { encodeStatement, parseStatement, type Statement, type StatementDocument } from '../../protocol/statement.ts';
import { earlierAfter } from '../../protocol/terms.ts';
import { PUBLIC, replace, writeNew } from './files.ts';
import { type Ports, placeOf, type ReplicaPlace } from './fleet-plan.ts';
import { joinFleet } from './join.ts';
import { connectTo } from './replica-config.ts';
import type { Provisioned } from './token-reading.ts';

/** What happened to the fleet since its last statement, and what is to happen. */
export interface Changes {
  /** etcd was restored from a snapshot, or lost. */
  readonly storeRestored: boolean;
  /** Replicas whose guard was lost and begins anew. */
  readonly guardsLost: readonly number[];
  /** Makes the keys of a replica for the epoch to come, where they are rotated. */
  readonly rotate?: (place: ReplicaPlace, epoch: number) => Promise<Provisioned>;
  /** Replicas that join, by index. */
  readonly joining: ReadonlyMap<number, Ports>;
  /** Replicas that leave. */
  readonly leaving: readonly number[];
  /** Undefined: as before, or the majority where replicas join or leave. */
  readonly threshold: number | undefined;
  /** Earlier epochs of which nothing is served any more. */
  readonly ended: readonly number[];
  /** Makes token, keys and guard of a replica that joins. */
  readonly provision: (place: ReplicaPlace, soPinFile: string) => Promise<Provisioned>;
  readonly now: Millis;
}

/** Throws CONFIG_INVALID before anything is made. */
function expectChange(last: Statement, changes: Changes): void {
  const { storeRestored, guardsLost, rotate, joining, leaving, ended } = changes;
  const unknown = [...guardsLost, ...leaving].find((index) => !isThere(last, index));
  if (unknown !== undefined) throw invalid(`The fleet has no replica ${unknown}.`);
  const again = [...joining.keys()].find(
    (index) => last.document.earlier.some(({ replicas }) => isIn(replicas, index)) || isThere(last, index),
  );
  if (again !== undefined) throw invalid(`${again} is, or was, the index of another replica; indices are never given again.`);
  const isSame = !storeRestored && guardsLost.length + joining.size + leaving.length + ended.length === 0;
  if (isSame && !rotate && changes.threshold === undefined)
    throw invalid('Nothing changed: name what was restored or lost, who joins or leaves, or have the keys rotated.');

  const [n, threshold] = [last.replicas.length + joining.size - leaving.length, thresholdAfter(last, changes)];
  if (n < 3 || n > MAX_REPLICAS) throw invalid(`A fleet has 3 to ${MAX_REPLICAS} replicas, not ${n}.`);
  if (threshold <= n / 2 || threshold >= n)
    throw invalid(`The threshold of ${n} replicas is ${Math.floor(n / 2) + 1} to ${n - 1}, not ${threshold}.`);
  for (const { epoch, threshold: needed, replicas } of earlierAfter(last.document, ended)) {
    const left = replicas.filter(({ index }) => isThere(last, index) && !leaving.includes(index)).length;
    if (left < needed)
      throw invalid(
        `Of the replicas of epoch ${epoch} ${left} would be left, and its records need ${needed}: end that epoch (--end-epoch ${epoch}), or keep more.`,
      );
  }
}

const isIn = (replicas: readonly { readonly index: number }[], index: number): boolean => replicas.some((one) => one.index === index);
const isThere = ({ replicas }: Statement, index: number): boolean => isIn(replicas, index);

function thresholdAfter(last: Statement, { joining, leaving, threshold }: Changes): number {
  const isOther = joining.size + leaving.length > 0;
  return threshold ?? (isOther ? Math.floor((last.replicas.length + joining.size - leaving.length) / 2) + 1 : last.threshold);
}

/** The next statement of a fleet: epoch and incarnations one higher. `provisioned`: keys that were made, by index. */
function nextStatement(last: Statement, changes: Changes, provisioned: ReadonlyMap<number, Provisioned>): Statement {
  const { document } = last;
  const { storeRestored, guardsLost, joining, leaving, ended } = changes;
  const stay = document.replicas.filter(({ index }) => !leaving.includes(index));
  const replicas = stay.map((replica) => ({
    ...{ ...replica, ...provisioned.get(replica.index) },
    guard_incarnation: replica.guard_incarnation + Number(guardsLost.includes(replica.index)),
  }));
  const joined = [...joining.keys()].map((index): StatementDocument['replicas'][number] => ({
    ...{ index, name: `replica-${index}`, operator: last.fleet, guard_incarnation: 1 },
    ...(provisioned.get(index) as Provisioned),
  }));
  const bytes = encodeStatement({
    ...document,
    epoch: document.epoch + 1,
    previous: toHex(last.hash),
    threshold: thresholdAfter(last, changes),
    replicas: [...replicas, ...joined].sort((a, b) => a.index - b.index),
    earlier: earlierAfter(document, ended),
    store_incarnation: document.store_incarnation + Number(storeRestored),
  });
  return parseStatement(bytes);
}

/**
 * Puts the next statement of a development fleet in the place of the last, which stays as statement-<epoch>.json, and lets the client
 * file trust it as well. Replicas read it when they start.
 */
export async function restateFleet(directory: string, changes: Changes): Promise<Statement> {
  const path = join(directory, 'statement.json');
  const last = parseStatement(read(path));
  expectChange(last, changes);
  const { fleet } = last;
  const { rotate, joining, leaving, provision, now } = changes;
  const members = last.replicas.map(({ index }) => index);
  const provisioned = joining.size > 0 ? await joinFleet({ directory, fleet, members, ports: joining, provision, now }) : new Map();
  if (rotate)
    for (const index of members.filter((member) => !leaving.includes(member)))
      provisioned.set(index, await rotate(placeOf(directory, fleet, index), last.epoch + 1));
  const next = nextStatement(last, changes, provisioned);
  writeNew(join(directory, `statement-${last.epoch}.json`), last.bytes, PUBLIC);
  replace(path, next.bytes);
  renewClientFile(join(directory, 'client.json'), last, next, changes);
  return next;
}

/** Its addresses are those of the replicas, in order. */
function renewClientFile(path: string, last: Statement, next: Statement, { joining }: Changes): void {
  const client = JSON.parse(read(path).toString()) as { addresses: string[]; statement_hashes: string[] };
  const before = new Map(last.replicas.map(({ index }, i) => [index, client.addresses[i] as string]));
  const of = (index: number) => before.get(index) ?? connectTo((joining.get(index) as Ports).frontend);
  client.addresses = next.replicas.map(({ index }) => of(index));
  client.statement_hashes.push(toHex(next.hash));
  replace(path, Buffer.from(`${JSON.stringify(client, null, 2)}\n`));
}

function read(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new VaultError('CONFIG_INVALID', `Cannot read ${path}: is this the directory of a development fleet?`, { cause });
  }
}

const invalid = (why: string) => new VaultError('CONFIG_INVALID', why);
