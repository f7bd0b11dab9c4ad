import type { Millis } from '../../primitives/brand.ts';
import { constantTimeEqual, toHex } from '../../primitives/bytes.ts';
import type { Clock } from '../../primitives/clock.ts';
import {
  type Attempts,
  AttemptsSchema,
  type Erasure,
  type GrantedPoint as GrantedPointMessage,
  RecordState,
} from '../../proto/gen/backupvault/v1/record_pb.ts';
import type { HashedBody } from '../../protocol/body.ts';
import * as attempts from './attempts.ts';
import type { Etcd, Write } from './etcd.ts';
import type { GrantedPoint, Recalled } from './guarded.ts';
import { type ReconcileOptions, reconcile, reordered, type Serving } from './reconcile.ts';
import { decode, type StoreMemory, Transactions } from './transactions.ts';

export interface Spent {
  readonly attempt: number;
  readonly lower: readonly GrantedPointMessage[];
  readonly bodyHash: Uint8Array;
}

/**
 * The records in etcd: a/<rid> is a compare-and-swap register, x/<rid> an index of what is exhausted. The guards have all else.
 * etcd decides the order of attempts and nothing else: the guards decide whether one may happen. Every method throws
 * STORE_UNAVAILABLE, STORE_CORRUPT, RECORD_OUTDATED, and those that write OUTCOME_UNKNOWN.
 */
export class Register {
  readonly #etcd: Etcd;
  readonly #transactions: Transactions;
  readonly #incarnation: number;
  readonly #clock: Clock;

  constructor(etcd: Etcd, incarnation: number, clock: Clock) {
    this.#etcd = etcd;
    this.#transactions = new Transactions(etcd, incarnation);
    this.#incarnation = incarnation;
    this.#clock = clock;
  }

  /** As Transactions.initialise. */
  initialise(memory: StoreMemory): Promise<void> {
    return this.#transactions.initialise(memory);
  }

  /** Linearizable. After a restore a record may be missing that the guards still know: `readCurrent` says so. */
  async read(rid: Uint8Array): Promise<Attempts | undefined> {
    const [attempts] = await this.#transactions.read(toHex(rid));
    return attempts;
  }

  /** As `read`, and RECORD_OUTDATED also where nothing is there and the guards were not asked since a restore. */
  async readCurrent(rid: Uint8Array): Promise<Attempts | undefined> {
    const attempts = await this.read(rid);
    if (!attempts) this.#transactions.expectUnknown(toHex(rid));
    return attempts;
  }

  /** What etcd has of a generation that is live. Throws RECORD_UNKNOWN, GENERATION_UNKNOWN, ERASED, RECORD_OUTDATED. */
  async expectLive(rid: Uint8Array, g: Uint8Array): Promise<Attempts> {
    return attempts.expectLive(await this.readCurrent(rid), g);
  }

  /** ENROL. Adds holders that were heard later to a generation that is committed already. Throws GENERATION_CONFLICT. */
  async enrol(hashed: HashedBody, holders: readonly number[]): Promise<void> {
    const { g, rid } = hashed.body;
    const key = toHex(rid);
    await this.#transactions.update(key, [], (current) => {
      const { next } = attempts.enrol(current, hashed, { incarnation: this.#incarnation, holders });
      const isNew = next && !(current && constantTimeEqual(current.g, g)); // a late holder changes nothing of the attempts
      return { next, writes: isNew ? [{ delete: `x/${key}` }] : [], result: undefined };
    });
  }

  /**
   * SPEND. Returns which attempt the point is, new or known, and the points of the attempts before it. `expectServed` is asked for the epoch of what
   * is there, before anything is spent on it. Throws as that and attempts.spend do.
   */
  spend(rid: Uint8Array, g: Uint8Array, point: GrantedPoint, expectServed: (epoch: bigint) => void): Promise<Spent> {
    const key = toHex(rid);
    return this.#transactions.update(key, [], (current) => {
      if (current) expectServed(current.epoch);
      const now = this.#clock.now();
      const { next, attempt, lower } = attempts.spend(current, g, point, now);
      const writes: Write[] = next && attempts.isExhausted(next) ? [{ put: `x/${key}`, value: Buffer.from(String(Math.floor(now))) }] : [];
      return { next, writes, result: { attempt, lower, bodyHash: (current as Attempts).bodyHash } };
    });
  }

  /** REORDER: these points in place of those that were `seen`. Throws as attempts.expectLive does. */
  async reorder(rid: Uint8Array, points: readonly GrantedPoint[], seen: Attempts, servers: readonly Serving[]): Promise<void> {
    const key = toHex(rid);
    await this.#transactions.update(key, [], (current) => {
      const next = reordered(attempts.expectLive(current, seen.g), points, seen, servers);
      const write: Write = attempts.isExhausted(next)
        ? { put: `x/${key}`, value: Buffer.from(String(next.lastAttemptMs)) }
        : { delete: `x/${key}` };
      return { next, writes: [write], result: undefined };
    });
  }

  /** ERASE on a tenant's word. Throws as attempts.erase does. */
  erase(rid: Uint8Array, g: Uint8Array, erasure: Erasure): Promise<boolean> {
    return this.#erase(rid, (current) => attempts.erase(current, g, erasure));
  }

  /** ERASE of what a guard holds. Throws as attempts.eraseForgotten does. */
  eraseForgotten(rid: Uint8Array, held: HashedBody, erasure: Erasure): Promise<boolean> {
    return this.#erase(rid, (current) => attempts.eraseForgotten(current, held, erasure, this.#incarnation));
  }

  /** ERASE of what t replicas say is spent; false where nothing was to erase. */
  eraseSpent(rid: Uint8Array, g: Uint8Array, erasure: Erasure): Promise<boolean> {
    return this.#erase(rid, (current) => attempts.eraseSpent(current, g, erasure));
  }

  #erase(rid: Uint8Array, step: (current: Attempts | undefined) => attempts.Step): Promise<boolean> {
    const key = toHex(rid);
    return this.#transactions.update(key, [], (current) => {
      const { next } = step(current);
      return { next, writes: [{ delete: `x/${key}` }], result: next !== undefined };
    });
  }

  /** Records that are exhausted, in order of rid, with the time of their last attempt: at most `limit`, from after `after` on. */
  async exhausted(limit: number, after?: Uint8Array): Promise<{ rid: Uint8Array; since: Millis }[]> {
    const entries = await this.#etcd.list('x/', limit, after && `x/${toHex(after)}`);
    return entries.map(({ key, value }) => ({ rid: ridOf(key), since: Number(Buffer.from(value).toString()) }));
  }

  /** Records that are known, in order of rid: at most `limit`, from after `after` on. */
  async rids(limit: number, after?: Uint8Array): Promise<Uint8Array[]> {
    const entries = await this.#etcd.list('a/', limit, after && `a/${toHex(after)}`);
    return entries.map(({ key }) => ridOf(key));
  }

  /** Records as etcd has them, in order of rid: at most `limit`, from after `after` on. */
  async records(limit: number, after?: Uint8Array): Promise<{ rid: Uint8Array; attempts: Attempts }[]> {
    const entries = await this.#etcd.list('a/', limit, after && `a/${toHex(after)}`);
    return entries.map(({ key, value }) => ({ rid: ridOf(key), attempts: decode(AttemptsSchema, value, 'a record’s register') }));
  }

  /** Which of the next `limit` records after `after` etcd shows erased, and the last one looked at, undefined at the end. */
  async erased(limit: number, after?: Uint8Array): Promise<{ erased: Uint8Array[]; last: Uint8Array | undefined }> {
    const entries = await this.#etcd.list('a/', limit, after && `a/${toHex(after)}`);
    const last = entries.at(-1);
    const erased = entries.filter(mayBeErased).map(({ key }) => ridOf(key));
    return { erased, last: last && entries.length === limit ? ridOf(last.key) : undefined };
  }

  /** RECONCILE with what n−t+1 guards or more remember. Returns whether there was something to write. */
  async reconcile(rid: Uint8Array, recalled: readonly Recalled[], options: Omit<ReconcileOptions, 'incarnation'>): Promise<boolean> {
    const key = toHex(rid);
    const changed = await this.#transactions.updateOutdated(key, [], (current) => {
      const next = reconcile(current, recalled, { ...options, incarnation: this.#incarnation });
      const isFull = next && attempts.isExhausted(next);
      const write: Write = isFull ? { put: `x/${key}`, value: Buffer.from(String(next.lastAttemptMs)) } : { delete: `x/${key}` };
      return { next, writes: [write], result: next !== undefined };
    });
    return changed ?? false;
  }
}

/** Of a key of a/ or x/. */
const ridOf = (key: string): Uint8Array => Buffer.from(key.slice(2), 'hex');

const PAGE = 100;

/** All that `list` gives, page by page, in order of rid. */
export async function* allOf<T>(
  list: (limit: number, after?: Uint8Array) => Promise<T[]>,
  ridOf: (item: T) => Uint8Array,
): AsyncIterable<T> {
  let page: T[];
  let last: T | undefined;
  do {
    page = await list(PAGE, last && ridOf(last));
    last = page.at(-1);
    yield* page;
  } while (page.length === PAGE);
}

/** What cannot be read as well: whoever looks at it alone then says so, and it holds up no other. */
function mayBeErased({ value }: { value: Uint8Array }): boolean {
  try {
    return decode(AttemptsSchema, value, 'a record’s register').state === RecordState.ERASED;
  } catch {
    return true;
  }
}
