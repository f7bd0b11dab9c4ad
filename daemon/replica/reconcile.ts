import { create } from '@bufbuild/protobuf';
import type { Millis } from '../../primitives/brand.ts';
import { exactly } from '../../primitives/bytes.ts';
import { isVaultError } from '../../primitives/errors.ts';
import type * as pb from '../../proto/gen/backupvault/v1/record_pb.ts';
import { RecallRequestSchema, type RecallResponse } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import { HASH_LENGTH, parseBody } from '../../protocol/body.ts';
import type { Generation, Guarded } from '../ledger/guarded.ts';
import { askAll, expectEnough } from './fan-out.ts';
import type { Fleet } from './fleet.ts';

const RECALL_GRACE: Millis = 500; // all n answers tell more than n−t+1

/** Does the work; if etcd’s entry of the record is from before a restore, reconciles it with the guards first. */
export async function reconciling<T>(fleet: Fleet, rid: Uint8Array, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!isVaultError(error, 'RECORD_OUTDATED')) throw error;
    await reconcileRecord(fleet, rid);
    return work();
  }
}

/** Throws NOT_ENOUGH_REPLICAS: fewer than n−t+1 guards could have forgotten what the others acknowledged. */
async function reconcileRecord({ vault, participants, events }: Fleet, rid: Uint8Array): Promise<void> {
  const { threshold, epoch } = vault.statement;
  const needed = participants.length - threshold + 1;
  const request = create(RecallRequestSchema, { rid, epoch: BigInt(epoch) });
  const answers = await askAll(participants, async ({ index, calls }) => parseRecalled(await calls.recall(request), index), {
    enough: needed,
    grace: RECALL_GRACE,
    clock: vault.clock,
  });
  const recalled = expectEnough(answers, needed, participants.length);
  const changed = await vault.register.reconcile(rid, recalled, { threshold, isComplete: recalled.length === participants.length });
  if (changed) events.reconciled(rid, recalled.length);
}

/** Throws MALFORMED. */
export function parseRecalled({ live, prepared, counted }: RecallResponse, index: number): Guarded {
  return {
    live: live && parseGeneration(live, index),
    prepared: prepared.map((generation) => parseGeneration(generation, index)),
    counted: new Map(
      counted.map(({ attempt, pointHash, atMs }) => [
        attempt,
        { pointHash: exactly(HASH_LENGTH, pointHash, 'point_hash'), atMs: Number(atMs) },
      ]),
    ),
  };
}

function parseGeneration({ body, subRecord, number }: pb.Generation, index: number): Generation {
  if (subRecord?.index !== index) throw new TypeError(`replica ${index} recalled another one’s sub-record`);
  return { ...parseBody(body), subRecord, number };
}
