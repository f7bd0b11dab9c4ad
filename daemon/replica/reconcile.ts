import { create } from '@bufbuild/protobuf';
import type { Millis } from '../../primitives/brand.ts';
import { exactly } from '../../primitives/bytes.ts';
import type { Clock } from '../../primitives/clock.ts';
import { isVaultError, VaultError } from '../../primitives/errors.ts';
import type { Generation as GenerationMessage } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { type Counted as CountedMessage, RecallRequestSchema, type RecallResponse } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import { HASH_LENGTH } from '../../protocol/body.ts';
import type { Statement } from '../../protocol/statement.ts';
import { meetsEveryEpoch } from '../../protocol/terms.ts';
import { type Counted, type Generation, type Guarded, parseGeneration } from '../ledger/guarded.ts';
import { type Answered, askEnough } from './fan-out.ts';
import type { Fleet } from './fleet.ts';
import type { Participant } from './participant.ts';

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

/** Throws NOT_ENOUGH_REPLICAS: fewer than n−t+1 guards of an epoch could have forgotten what the others acknowledged. */
async function reconcileRecord({ vault, participants, events }: Fleet, rid: Uint8Array): Promise<void> {
  const { statement, clock } = vault;
  const recalled = await recallFrom(participants, { rid, statement, least: statement.threshold, clock }); // for an even n fewer could not show t holders
  const changed = await vault.register.reconcile(rid, recalled, {
    terms: statement.terms,
    isComplete: recalled.length === participants.length,
  });
  if (changed) events.reconciled(rid, recalled.length);
}

interface Recalling {
  readonly rid: Uint8Array;
  readonly statement: Pick<Statement, 'epoch' | 'terms'>;
  /** So many in any case. */
  readonly least: number;
  readonly clock: Clock;
}

/** What guards remember of a record: of each epoch so many that any t have one among them. Throws NOT_ENOUGH_REPLICAS. */
export function recallFrom(participants: readonly Participant[], { rid, statement, least, clock }: Recalling): Promise<Guarded[]> {
  const request = create(RecallRequestSchema, { rid, epoch: BigInt(statement.epoch) });
  const asked = new Set(participants.map(({ index }) => index));
  const enough = (answered: Answered) => answered.size >= least && meetsEveryEpoch(statement, answered, asked);
  const ask = async ({ index, calls }: Participant) => parseRecalled(await calls.recall(request), index);
  return askEnough(participants, ask, { enough, grace: RECALL_GRACE, clock });
}

/** Another replica's guard may say anything; what no guard can hold is refused. Throws MALFORMED. */
export function parseRecalled({ live, prepared, counted }: RecallResponse, index: number): Guarded {
  const limit = live?.body?.policy?.limit ?? 0;
  return {
    live: live && parseHeld(live, index),
    prepared: prepared.map((generation) => parseHeld(generation, index)),
    counted: new Map(counted.map((each) => parseCounted(each, limit))),
    destroyed: undefined,
  };
}

function parseCounted({ attempt, pointHash, atMs }: CountedMessage, limit: number): [number, Counted] {
  if (attempt < 1 || attempt > limit) throw malformed('an attempt beyond the limit');
  if (atMs > BigInt(Number.MAX_SAFE_INTEGER)) throw malformed('a time beyond all times');
  return [attempt, { pointHash: exactly(HASH_LENGTH, pointHash, 'point_hash'), atMs: Number(atMs) }];
}

function parseHeld(message: GenerationMessage, index: number): Generation {
  const generation = parseGeneration(message);
  if (generation.subRecord.index !== index) throw malformed('another one’s sub-record');
  if (generation.number >= 1n << 63n) throw malformed('a number beyond all numbers');
  return generation;
}

const malformed = (what: string) => new VaultError('MALFORMED', `A replica recalled ${what}.`);
