import { Mutex } from 'async-mutex';
import { LRUCache } from 'lru-cache';
import type { Millis } from '../../primitives/brand.ts';
import { constantTimeEqual, toHex } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import type { Hold } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { type Body, comesAfter, MAX_ATTEMPTS } from '../../protocol/body.ts';
import { isSameList, type OwnerList } from '../../protocol/owner-list.ts';
import type { Signed } from '../../protocol/signature.ts';
import type { AttemptName } from '../../protocol/transcripts.ts';
import { adoptingOf, type Change, countingOf, numberOf, type Paid, unknownGeneration } from './counting.ts';
import { type Cause, type Destruction, destructionOf } from './destruction.ts';
import type { GuardStore } from './guard-store.ts';
import { type Destroyed, type End, type Generation, type Guarded, isUnknownEnd, lineOf } from './guarded.ts';
import { areOver, type Decision, decide, letGo, type Proven, prove } from './hold.ts';
import { onDisk } from './on-disk.ts';
import { isEarlierDeal, isPast, isSucceeded, type KeptShare } from './seed-share.ts';

const MOST_PREPARED = 8; // enrolments that were begun and never finished, for each record
const MOST_KNOWN = 1024; // a few KB each; a recovery asks for its record five times within a second

/** `prepared` of t holders or more, of a generation that etcd committed; undefined where it did not, or fewer did. */
type Committed = (generation: Generation) => Promise<readonly Signed[] | undefined>;

/** An attempt that is counted here. */
export interface Counting {
  readonly generation: Generation;
  /** |H|: attempts that are counted here, all in all. */
  readonly used: number;
}

/**
 * The white list that decides whether an attempt may happen: a replica serves the generations that its guard holds, counts every
 * attempt here before it votes, and trusts no number of etcd's. One change of a record at a time. Every method throws GUARD_FAILING.
 */
export class Guard {
  readonly #store: GuardStore;
  readonly #locks = new Map<string, Mutex>();
  /**
   * What the disk holds of records used lately. No other process can write there, and in this one only the holder of a record's lock
   * reads, writes and remembers it: an entry is dropped before a write begins, and comes back only once the disk has it.
   */
  readonly #known = new LRUCache<string, Guarded>({ max: MOST_KNOWN });

  constructor(store: GuardStore) {
    this.#store = store;
  }

  /** Waits for a change under way. Not from within a change of the same record: it would wait for itself. */
  async read(rid: Uint8Array): Promise<Guarded> {
    return this.#known.get(toHex(rid)) ?? this.#exclusively(rid, async (guarded) => guarded);
  }

  /**
   * Keeps what `make` returns as a prepared generation. `make` sees what is there and runs alone for this record; undefined keeps
   * nothing. Beyond MOST_PREPARED the earliest goes, but not what etcd has: nothing that anybody could be served is lost.
   */
  prepare(
    rid: Uint8Array,
    make: (guarded: Guarded) => Promise<Generation | undefined>,
    committed: () => Promise<Uint8Array | undefined>,
  ): Promise<void> {
    return this.#exclusively(rid, async (guarded) => {
      const generation = await make(guarded);
      if (!generation) return;
      const evicted = guarded.prepared.length < MOST_PREPARED ? undefined : earliestBut(await committed(), guarded);
      this.#known.delete(toHex(rid));
      await onDisk(() => this.#store.putPrepared(generation, evicted));
      if (evicted) this.#purgeLater();
    });
  }

  /** Makes a prepared generation live, if `committed` shows that it may be. Returns the live generation with this g. Throws GENERATION_UNKNOWN. */
  promote(rid: Uint8Array, g: Uint8Array, committed: Committed): Promise<Generation> {
    return this.#exclusively(rid, async (guarded) => {
      if (guarded.live && constantTimeEqual(guarded.live.body.g, g)) return guarded.live;
      const own = guarded.prepared.find(({ body }) => constantTimeEqual(body.g, g));
      if (!own) throw unknownGeneration();
      if (guarded.live ? !comesAfter(own, guarded.live) : !isBoundTo(guarded, own)) throw unknownGeneration();
      const prepared = await committed(own);
      if (!prepared) throw unknownGeneration();
      const live = { ...own, prepared };
      this.#known.delete(toHex(rid));
      await onDisk(() => this.#store.replaceLive(live, guarded));
      this.#purgeLater();
      return live;
    });
  }

  /**
   * VOTE: durably makes a point attempt k of the live generation, or finds that it is already. Attempts before it that this guard missed are
   * counted with it, of the points in `shown`. One that was only shown so far is voted for now.
   * Throws GENERATION_UNKNOWN, EXHAUSTED (k beyond the limit), ATTEMPT_CONFLICT, ATTEMPT_GAP, COOLING_DOWN.
   */
  count(name: AttemptName, paid: Paid, now: Millis): Promise<Counting> {
    return this.#count(name, (guarded) => countingOf(guarded, name, paid, now));
  }

  /** Whether `count` would count it, or has: throws as that does, and changes nothing. */
  async expectCountable(name: AttemptName, paid: Paid, now: Millis): Promise<void> {
    countingOf(await this.read(name.rid), name, paid, now);
  }

  /**
   * Counts an attempt for which t others voted already. They observed the cool-down; otherwise as `count`, but that a point which is counted here under
   * another number is counted no second time. It is one of at most `limit` points in H all the same, and with the votes of t for one number it is
   * what the others evaluate.
   */
  adopt(name: AttemptName, paid: Paid, now: Millis): Promise<Counting> {
    return this.#count(name, (guarded) => adoptingOf(guarded, name, paid, now));
  }

  /**
   * A right proof of an attempt that is counted here. Resolves to when it may be released, by this clock; to 0 where that is now, to undefined where it was released
   * before. Throws GENERATION_UNKNOWN, EXHAUSTED where it said that all is spent, and as `prove` does.
   */
  async prove(rid: Uint8Array, g: Uint8Array, pointHash: Uint8Array, proven: Proven, now: Millis): Promise<Millis | undefined> {
    return this.#onHold(rid, g, pointHash, (hold, { policy }, isOver) => {
      const { next, until } = prove(hold, proven, Number(policy.holdMs), now);
      if (next && isOver)
        throw new VaultError('EXHAUSTED', 'Every attempt is spent, and the record will be erased: no hold begins any more.');
      return { next, result: until };
    });
  }

  /** From now on no hold begins: what is spent may be erased. Resolves to false where one is not over by `before`. Throws GENERATION_UNKNOWN. */
  holdNoMore(rid: Uint8Array, g: Uint8Array, before: Millis): Promise<boolean> {
    return this.#exclusively(rid, async ({ live }) => {
      if (!live || !constantTimeEqual(live.body.g, g)) throw unknownGeneration();
      if (live.body.policy.holdMs === 0n) return true;
      if (!areOver((await this.holds(rid)).values(), Number(live.body.policy.holdMs), before)) return false;
      await onDisk(() => this.#store.putHoldNoMore(rid));
      return true;
    });
  }

  /** It is released from now on: a veto comes too late. Throws GENERATION_UNKNOWN, ATTEMPT_UNKNOWN where nothing was proved, VETOED. */
  letGo(rid: Uint8Array, g: Uint8Array, pointHash: Uint8Array): Promise<void> {
    return this.#onHold(rid, g, pointHash, (hold) => {
      if (!hold) throw new VaultError('ATTEMPT_UNKNOWN', 'This attempt was not proved here.');
      return { next: letGo(hold), result: undefined };
    });
  }

  /**
   * The owner's word about an attempt. Resolves to whether it is sure that this guard had not released it: else a veto comes too late. Throws GENERATION_UNKNOWN, and as `decide`
   * does.
   */
  decide(rid: Uint8Array, g: Uint8Array, pointHash: Uint8Array, decision: Decision): Promise<boolean> {
    return this.#onHold(rid, g, pointHash, (hold) => {
      if (hold?.released) return { next: undefined, result: false };
      return { next: decide(hold, decision), result: !hold?.forgotten };
    });
  }

  /** What the owner keeps beside the record. */
  list(rid: Uint8Array): Promise<OwnerList | undefined> {
    return onDisk(() => this.#store.list(rid));
  }

  /** In the place of an older one. Throws GENERATION_UNKNOWN; LIST_OUTDATED where another one has this counter, or a higher one. */
  putList(rid: Uint8Array, g: Uint8Array, list: OwnerList): Promise<void> {
    return this.#exclusively(rid, async ({ live }) => {
      if (!live || !constantTimeEqual(live.body.g, g)) throw unknownGeneration();
      const known = await this.list(rid);
      if (known && isSameList(known, list)) return;
      if (known && known.counter >= list.counter)
        throw new VaultError('LIST_OUTDATED', `Replicas have a list with counter ${known.counter}; read it, and write with the next one.`);
      await onDisk(() => this.#store.putList(rid, list));
    });
  }

  /** What became of proofs, and what its owner decided, by the hash of the point, in hexadecimal. */
  holds(rid: Uint8Array): Promise<Map<string, Hold>> {
    return onDisk(() => this.#store.holds(rid));
  }

  #onHold<T>(
    rid: Uint8Array,
    g: Uint8Array,
    pointHash: Uint8Array,
    step: (hold: Hold | undefined, body: Body, isOver: boolean) => { readonly next: Hold | undefined; readonly result: T },
  ): Promise<T> {
    return this.#exclusively(rid, async ({ live }) => {
      if (!live || !constantTimeEqual(live.body.g, g)) throw unknownGeneration();
      const holds = await this.holds(rid);
      const before = holds.get(toHex(pointHash));
      if (!before && holds.size >= MAX_ATTEMPTS) throw new VaultError('POLICY_REFUSED', 'There are as many holds as a record may have.');
      const { next, result } = step(before, live.body, await onDisk(() => this.#store.holdsNoMore(rid)));
      if (next) await onDisk(() => this.#store.putHold(rid, pointHash, next));
      return result;
    });
  }

  /** The live generation, and the number under which this point is counted here: the proof may name another one. Throws GENERATION_UNKNOWN, ATTEMPT_UNKNOWN. */
  async counted(
    rid: Uint8Array,
    g: Uint8Array,
    pointHash: Uint8Array,
  ): Promise<{ readonly generation: Generation; readonly number: number }> {
    const guarded = await this.read(rid);
    const { live } = guarded;
    if (!live || !constantTimeEqual(live.body.g, g)) throw unknownGeneration();
    const number = numberOf(guarded, { pointHash });
    if (number === undefined)
      throw new VaultError('ATTEMPT_UNKNOWN', 'This replica counted no attempt for that point; begin the recovery first.');
    return { generation: live, number };
  }

  /**
   * Drops a generation and what came before it in its line, be it served or prepared, also from the files of the store, and remembers that it is
   * over for good, with what shows others that missed it of which line it was.
   * The tenant who erases a record means also what was prepared to take its place, and was never served here. No more than that: what comes after it may be
   * of those t that what was acknowledged rests on. Where another one is live, that stays. Throws OUTCOME_UNKNOWN.
   */
  async destroy(rid: Uint8Array, end: End, cause: Cause): Promise<Destroyed & Pick<Destruction, 'leaves'>> {
    const { remembered, leaves } = await this.#exclusively(rid, async (guarded) => {
      const destruction = destructionOf(guarded, end, cause);
      if (!destruction.isNews) return destruction;
      this.#known.delete(toHex(rid));
      await onDisk(() => this.#store.destroy(rid, guarded, destruction));
      return destruction;
    });
    await this.expectPurged(rid);
    return { ...remembered, leaves: leaves || (await this.#keepsWhatMayGoWith(rid, remembered)) };
  }

  /** Returns once the files of the store hold no generation of the record that was dropped. Throws OUTCOME_UNKNOWN. */
  async expectPurged(rid: Uint8Array): Promise<void> {
    if (await this.#store.owesPurge(rid)) await this.purge();
  }

  /** The same for all records. */
  async purge(): Promise<void> {
    try {
      await this.#store.purge();
    } catch (cause) {
      throw new VaultError(
        'OUTCOME_UNKNOWN',
        'What was dropped is served no more, but it may still lie in files of the guard; send exactly the same bytes again.',
        { cause },
      );
    }
  }

  /**
   * Keeps a share of another replica's seed, in the place of what that one dealt before. Throws GENERATION_UNKNOWN for a generation that is over here, or was
   * replaced: nothing brings its shares back. The same for a share of an earlier deal than the one that is here: it comes late, and the others may have the later one.
   */
  keep(rid: Uint8Array, share: KeptShare): Promise<void> {
    return this.#exclusively(rid, async (guarded) => {
      const before = (await this.kept(rid)).find(({ owner }) => owner === share.owner);
      if (isPast(guarded, share) || (before && (isSucceeded(share, before) || isEarlierDeal(share, before)))) throw unknownGeneration();
      await onDisk(() => this.#store.putKept(rid, share, before));
    });
  }

  /** Shares of others' seeds. */
  kept(rid: Uint8Array): Promise<KeptShare[]> {
    return onDisk(() => this.#store.kept(rid));
  }

  /** As NumberedStore.sequence */
  get sequence(): bigint {
    return this.#store.sequence;
  }

  /** As GuardStore.undealt */
  undealt(): AsyncIterable<Uint8Array> {
    return this.#store.undealt();
  }

  /** As GuardStore.oweDealsTo */
  oweDealsTo(others: string): Promise<void> {
    return onDisk(() => this.#store.oweDealsTo(others));
  }

  /** All others have a share of the seed of this generation. One that took its place in the meantime is dealt by itself. */
  dealt(rid: Uint8Array, g: Uint8Array): Promise<void> {
    return this.#exclusively(rid, async ({ live }) => {
      if (!live || constantTimeEqual(live.body.g, g)) await onDisk(() => this.#store.putDealt(rid));
    });
  }

  /** How often the record's live generation changed here: what is offered now is worth nothing once that happens again. */
  changes(rid: Uint8Array): Promise<bigint> {
    return onDisk(() => this.#store.changes(rid));
  }

  /** As GuardStore.full */
  full(): AsyncIterable<Uint8Array> {
    return this.#store.full();
  }

  /** As GuardStore.rids */
  rids(): AsyncIterable<Uint8Array> {
    return this.#store.rids();
  }

  close(): Promise<void> {
    return this.#store.close();
  }

  async #count({ rid }: AttemptName, change: (guarded: Guarded) => Change): Promise<Counting> {
    return this.#exclusively(rid, async (guarded) => {
      const { generation, entries } = change(guarded);
      if (entries.size === 0) return { generation, used: guarded.counted.size };
      const counted = new Map([...guarded.counted, ...entries]);
      this.#known.delete(toHex(rid));
      await onDisk(() => this.#store.putCounted(rid, entries, counted.size >= generation.body.policy.limit));
      this.#known.set(toHex(rid), { ...guarded, counted });
      return { generation, used: counted.size };
    });
  }

  /** Shares of a generation that may come before one of which the line is not known here. */
  async #keepsWhatMayGoWith(rid: Uint8Array, end: End): Promise<boolean> {
    return isUnknownEnd(end) && (await this.kept(rid)).some(({ line }) => !constantTimeEqual(line, end.g));
  }

  /** Nobody waits for it. What fails is owed, and housekeeping makes it good. */
  #purgeLater(): void {
    void this.#store.purge().catch(() => {});
  }

  async #exclusively<T>(rid: Uint8Array, work: (guarded: Guarded) => Promise<T>): Promise<T> {
    const key = toHex(rid);
    const lock = this.#locks.get(key) ?? new Mutex();
    this.#locks.set(key, lock);
    try {
      return await lock.runExclusive(async () => {
        const guarded = this.#known.get(key) ?? (await onDisk(() => this.#store.read(rid)));
        this.#known.set(key, guarded);
        return work(guarded);
      });
    } finally {
      if (!lock.isLocked()) this.#locks.delete(key);
    }
  }
}

function earliestBut(committed: Uint8Array | undefined, { prepared }: Guarded): Generation | undefined {
  const others = prepared.filter(({ body }) => !committed || !constantTimeEqual(body.g, committed));
  const byTime = (a: Generation, b: Generation) => Number(a.subRecord.enrolledAtMs - b.subRecord.enrolledAtMs);
  return others.sort((a, b) => (comesAfter(a, b) ? 1 : comesAfter(b, a) ? -1 : byTime(a, b)))[0];
}

/** A guard that serves nothing takes up what is of the line of what it prepared, if that is not over. */
function isBoundTo(guarded: Guarded, { body }: Generation): boolean {
  const line = lineOf(guarded);
  return line === undefined || constantTimeEqual(line, body.line);
}
