import { constantTimeEqual, toHex } from '../../primitives/bytes.ts';
import { isVaultError } from '../../primitives/errors.ts';
import { RecordState } from '../../proto/gen/backupvault/v1/record_pb.ts';
import type { GuardStore } from './guard-store.ts';
import { allOf, type Register } from './register.ts';

/** A generation that a replica needs its keys for, and where it was found. */
export interface FoundGeneration {
  readonly rid: Uint8Array;
  readonly g: Uint8Array;
  /** Under whose keys it was stored. */
  readonly epoch: number;
  /** The guard's live or prepared ones, or etcd. */
  readonly where: 'live' | 'prepared' | 'etcd';
}

/** What replica `index` stored, in its guard and in etcd; most of it is found in both. Without `store` the guard is left out. */
export async function* storedGenerations(store: GuardStore | undefined, register: Register, index: number): AsyncIterable<FoundGeneration> {
  for await (const { state, body } of store?.generations() ?? [])
    yield { rid: body.rid, g: body.g, epoch: Number(body.epoch), where: state };
  const records = (limit: number, after?: Uint8Array) => register.records(limit, after);
  for await (const { rid, attempts } of allOf(records, (each) => each.rid))
    if (attempts.state === RecordState.LIVE && attempts.holders.includes(index))
      yield { rid, g: attempts.g, epoch: Number(attempts.epoch), where: 'etcd' };
}

/**
 * The records, in hexadecimal, of which a generation that `isAffected` may be served, now or after a reconciliation. What is prepared
 * and not committed is nobody's: a replica under a later statement prepares no such body again, and so none will be committed.
 */
export async function recordsServed(
  generations: AsyncIterable<FoundGeneration>,
  register: Register,
  isAffected: (generation: FoundGeneration) => boolean,
): Promise<Set<string>> {
  const rids = new Set<string>();
  for await (const generation of generations)
    if (isAffected(generation) && (generation.where !== 'prepared' || (await mayBeCommitted(register, generation))))
      rids.add(toHex(generation.rid));
  return rids;
}

async function mayBeCommitted(register: Register, { rid, g }: FoundGeneration): Promise<boolean> {
  try {
    const attempts = await register.read(rid);
    return attempts !== undefined && constantTimeEqual(attempts.g, g);
  } catch (error) {
    if (isVaultError(error, 'RECORD_OUTDATED')) return true;
    throw error;
  }
}
