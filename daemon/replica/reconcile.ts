import { create } from '@bufbuild/protobuf';
import type { Millis } from '../../primitives/brand.ts';
import { exactly } from '../../primitives/bytes.ts';
import { isVaultError, VaultError } from '../../primitives/errors.ts';
import type { Generation as GenerationMessage } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { type Counted as CountedMessage, RecallRequestSchema, type RecallResponse } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import { HASH_LENGTH, parseBody } from '../../protocol/body.ts';
import { parseSubRecord } from '../../protocol/sub-record.ts';
import type { Counted, Generation, Guarded } from '../ledger/guarded.ts';
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
  const needed = Math.max(participants.length - threshold + 1, threshold); // for an even n fewer could not show t holders
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

/** Another replica's guard may say anything; what no guard can hold is refused. Throws MALFORMED. */
export function parseRecalled({ live, prepared, counted }: RecallResponse, index: number): Guarded {
  const limit = live?.body?.policy?.limit ?? 0;
  return {
    live: live && parseGeneration(live, index),
    prepared: prepared.map((generation) => parseGeneration(generation, index)),
    counted: new Map(counted.map((each) => parseCounted(each, limit))),
  };
}

function parseCounted({ attempt, pointHash, atMs }: CountedMessage, limit: number): [number, Counted] {
  if (attempt < 1 || attempt > limit) throw malformed('an attempt beyond the limit');
  if (atMs > BigInt(Number.MAX_SAFE_INTEGER)) throw malformed('a time beyond all times');
  return [attempt, { pointHash: exactly(HASH_LENGTH, pointHash, 'point_hash'), atMs: Number(atMs) }];
}

function parseGeneration({ body, subRecord: message, number }: GenerationMessage, index: number): Generation {
  const subRecord = parseSubRecord(message);
  if (subRecord.index !== index) throw malformed('another one’s sub-record');
  if (number >= 1n << 63n) throw malformed('a number beyond all numbers');
  return { ...parseBody(body), subRecord, number };
}

const malformed = (what: string) => new VaultError('MALFORMED', `A replica recalled ${what}.`);
