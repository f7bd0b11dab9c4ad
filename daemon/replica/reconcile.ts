import { create } from '@bufbuild/protobuf';
import type { Millis } from '../../primitives/brand.ts';
import { constantTimeEqual, exactly, toHex } from '../../primitives/bytes.ts';
import { isVaultError, VaultError } from '../../primitives/errors.ts';
import type { Attempts } from '../../proto/gen/backupvault/v1/record_pb.ts';
import {
  type Counted as CountedMessage,
  type Decided as DecidedMessage,
  RecallRequestSchema,
  type RecallResponse,
} from '../../proto/gen/backupvault/v1/replica_pb.ts';
import { HASH_LENGTH, type HashedBody, isLater, MAX_ATTEMPTS } from '../../protocol/body.ts';
import { parseOwnerList } from '../../protocol/owner-list.ts';
import type { Signed } from '../../protocol/signature.ts';
import { meetsEveryEpoch, termsOf } from '../../protocol/terms.ts';
import { type Counted, type Decided, heldBy, parseGrantedPoint, parseShown, type Recalled, type Shown } from '../ledger/guarded.ts';
import { fixedBy, generationsServed, isSame } from '../ledger/reconcile.ts';
import { isHolder, isPreparedBy, preparedByEnough, preparers, wasPreparedByEnough } from '../vault/evidence.ts';
import { isOwnersList } from '../vault/list.ts';
import { isSaidByOwner } from '../vault/ownership.ts';
import { shownPoints } from '../vault/shown.ts';
import type { Vault } from '../vault/vault.ts';
import { askEnough } from './fan-out.ts';
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
  const { terms, threshold } = vault.statement;
  const recalled = await recallFrom(participants, rid, { ...vault, least: threshold }); // for an even n fewer could not show t holders
  const changed = await vault.register.reconcile(rid, recalled, { terms });
  if (changed) events.reconciled(rid, recalled.length);
}

/** What the guards counted that serve what etcd has: of t of those that can. Throws as `recallFrom` does. */
export async function recallServers({ vault, participants }: Fleet, rid: Uint8Array, current: Attempts): Promise<Recalled[]> {
  const { threshold, remaining } = termsOf(vault.statement, current.epoch);
  const holders = participants.filter(({ index }) => remaining.has(index));
  const isMeant = ({ bodyHash }: HashedBody) => constantTimeEqual(bodyHash, current.bodyHash);
  const known = new Set(current.points.map(({ hash }) => toHex(hash)));
  const recalled = await recallFrom(holders, rid, { ...vault, least: threshold, isMeant, known });
  return recalled.filter(({ live }) => live && isMeant(live));
}

/** What it takes to ask guards what they remember, and to see what of it they show. */
export interface Recalling extends Pick<Vault, 'statement' | 'receiptKeys' | 'grants' | 'clock'> {
  /** So many must answer in any case. */
  readonly least: number;
  /** Where one generation alone matters, of those who are asked. */
  readonly isMeant?: (generation: HashedBody) => boolean;
  /** Hashes of points that etcd has: whatever became of their grants, they are no news. */
  readonly known?: ReadonlySet<string>;
}

/**
 * What guards remember of a record, as far as they show it: of each epoch so many that any t have one among them, but of those before what t of them hold.
 * Throws NOT_ENOUGH_REPLICAS.
 */
export async function recallFrom(participants: readonly Participant[], rid: Uint8Array, recalling: Recalling): Promise<Recalled[]> {
  const { statement, least, clock, isMeant } = recalling;
  const request = create(RecallRequestSchema, { rid, epoch: BigInt(statement.epoch) });
  const asked = new Set(participants.map(({ index }) => index));
  const enough = (answered: ReadonlyMap<number, Recalled>) => {
    if (answered.size < least) return false;
    return isMeant !== undefined || meetsEveryEpoch(statement, answered, asked, latestOf(recalling, [...answered.values()])?.body.epoch);
  };
  const ask = async ({ index, calls }: Participant) => parseRecalled(await calls.recall(request), index);
  const recalled = await askEnough(participants, ask, { enough, grace: RECALL_GRACE, clock });
  if (recalled.length < participants.length && isSomeUnshown(recalling, recalled))
    throw new VaultError(
      'NOT_ENOUGH_REPLICAS',
      'Of what a replica serves, only those that did not answer can show that it may; send the same bytes again later.',
      { details: { replicasAnswered: recalled.length, replicasNeeded: recalled.length + 1 } },
    );
  const signed = signaturesIn(recalled);
  return Promise.all(recalled.map((guarded) => shownBy(recalling, rid, guarded, signed, recalled)));
}

/** The latest generation that is shown and that t of these hold. */
function latestOf(recalling: Recalling, recalled: readonly Recalled[]): HashedBody | undefined {
  const signed = signaturesIn(recalled);
  return generationsServed(recalled).find((live) => {
    const { threshold, remaining } = recalling.statement.terms.get(Number(live.body.epoch)) ?? {};
    const holders = recalled.filter((guarded) => remaining?.has(guarded.index) && heldBy(guarded).some((held) => isSame(held, live)));
    return threshold !== undefined && holders.length >= threshold && preparedByEnough(recalling, live, signed(live));
  });
}

/** Whether somebody serves what only those that did not answer can show, and what would stand then. */
function isSomeUnshown(recalling: Recalling, recalled: readonly Recalled[]): boolean {
  const { statement, isMeant } = recalling;
  const signed = signaturesIn(recalled);
  const answered = new Set(recalled.map(({ index }) => index));
  const latest = latestOf(recalling, recalled);
  return recalled.some(({ live }) => {
    if (!live || preparedByEnough(recalling, live, signed(live)) || !wasPreparedByEnough(recalling, live, signed(live))) return false;
    if (isMeant ? !isMeant(live) : latest && !isLater(live.body, latest.body)) return false;
    const { threshold } = termsOf(statement, live.body.epoch);
    const silent = live.body.shares.filter(({ index }) => isHolder(statement, live.body, index) && !answered.has(index));
    return preparers(recalling, live, signed(live)).length + silent.length >= threshold;
  });
}

/** Every `prepared` that is among the answers, whoever gave it, by body. */
function signaturesIn(recalled: readonly Recalled[]): (generation: HashedBody) => Signed[] {
  const held = recalled.flatMap(heldBy);
  return ({ bodyHash }) => held.filter((each) => constantTimeEqual(each.bodyHash, bodyHash)).flatMap(({ prepared }) => prepared);
}

/**
 * A generation counts as served where t replicas signed that they prepared it; a copy of it, where its holder did; an attempt, where a tenant
 * granted it. So one hostile replica can neither bring back, nor exhaust, nor number a record beyond what others signed.
 */
async function shownBy(
  recalling: Recalling,
  rid: Uint8Array,
  { live, prepared, counted, decided, list, ...guarded }: Recalled,
  signed: (generation: HashedBody) => Signed[],
  recalled: readonly Recalled[],
): Promise<Recalled> {
  const isOwn = (generation: Shown) =>
    generation.prepared.some((signed) => signed.index === guarded.index && isPreparedBy(recalling, generation, signed));
  const shown = live && isOwn(live) ? preparedByEnough(recalling, live, signed(live)) : undefined;
  return {
    ...guarded,
    live: live && shown && { ...live, prepared: shown },
    prepared: prepared.filter(isOwn),
    counted: live && shown ? await shownAttempts(recalling, rid, live, counted, recalled) : new Map(),
    decided: live && shown ? decided.filter((each) => isSaidByOwner(recalling.statement.fleet, live.body, each)) : [],
    list: live && shown && list && isOwnersList(recalling.statement.fleet, live.body, list) ? list : undefined,
  };
}

/** By its grant; or since t have it under one number, of which one tells the truth. */
async function shownAttempts(
  { statement, grants, known }: Recalling,
  rid: Uint8Array,
  live: HashedBody,
  counted: ReadonlyMap<number, Counted>,
  recalled: readonly Recalled[],
): Promise<Map<number, Counted>> {
  const { g, threshold } = live.body;
  const fixed = fixedBy(
    recalled.filter((other) => other.live && isSame(other.live, live)),
    threshold,
  );
  const shown = await shownPoints(grants, { fleet: statement.fleet, rid, g }, [...counted.values()]);
  return new Map(
    [...counted].filter(([attempt, point]) => {
      const name = toHex(point.pointHash);
      return shown.includes(point) || known?.has(name) || fixed.get(attempt) === name;
    }),
  );
}

/** Another replica's guard may say anything; what no guard can hold is refused. Throws MALFORMED. */
export function parseRecalled({ live, prepared, counted, decided, list }: RecallResponse, index: number): Recalled {
  const limit = live?.body?.policy?.limit ?? 0;
  return {
    index,
    live: live && parseShown(live),
    prepared: prepared.map(parseShown),
    counted: new Map(counted.map((each) => parseCounted(each, limit))),
    decided: parseDecided(decided),
    list: list && parseOwnerList(list),
  };
}

function parseCounted({ attempt, point, atMs }: CountedMessage, limit: number): [number, Counted] {
  if (attempt < 1 || attempt > limit) throw malformed('an attempt beyond the limit');
  if (atMs > BigInt(Number.MAX_SAFE_INTEGER)) throw malformed('a time beyond all times');
  return [attempt, { ...parseGrantedPoint(point), atMs: Number(atMs) }];
}

/** Throws MALFORMED. */
export const parseDecided = (decided: readonly DecidedMessage[]): Decided[] =>
  decided.slice(0, MAX_ATTEMPTS).map(({ attempt, pointHash, veto, signature, blindedBase }) => ({
    ...{ attempt, isVeto: veto, signature, blindedBase },
    pointHash: exactly(HASH_LENGTH, pointHash, 'decided.point_hash'),
  }));

const malformed = (what: string) => new VaultError('MALFORMED', `A replica recalled ${what}.`);
