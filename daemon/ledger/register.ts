import { create, toBinary } from '@bufbuild/protobuf';
import type { Millis } from '../../primitives/brand.ts';
import { constantTimeEqual, toHex } from '../../primitives/bytes.ts';
import type { Clock } from '../../primitives/clock.ts';
import {
  type Attempts,
  AttemptsSchema,
  type Erasure,
  type GrantedPoint as GrantedPointMessage,
  type Record,
  RecordSchema,
  RecordState,
  type SubRecord as SubRecordMessage,
} from '../../proto/gen/backupvault/v1/record_pb.ts';
import { type HashedBody, parseBody } from '../../protocol/body.ts';
import { renderSubRecord, type SubRecord } from '../../protocol/sub-record.ts';
import * as attempts from './attempts.ts';
import type { Etcd, Versioned, Write } from './etcd.ts';
import type { GrantedPoint, Guarded, Recalled } from './guarded.ts';
import { mergeSubRecords, type ReconcileOptions, reconcile, reordered, type Stored } from './reconcile.ts';
import { decode, type StoreMemory, Transactions } from './transactions.ts';

export interface Spent {
  readonly attempt: number;
  readonly lower: readonly GrantedPointMessage[];
  readonly bodyHash: Uint8Array;
}

/**
 * The records in etcd: a/<rid> is a compare-and-swap register, r/<rid> the record, x/<rid> an index of what is exhausted.
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
  async read(rid: Uint8Array): Promise<Stored> {
    const key = toHex(rid);
    const [attempts, record] = await this.#transactions.read(key, `r/${key}`);
    return { attempts, record: decodeRecord(record) };
  }

  /** As `read`, and RECORD_OUTDATED also where nothing is there and the guards were not asked since a restore. */
  async readCurrent(rid: Uint8Array): Promise<Stored> {
    const stored = await this.read(rid);
    if (!stored.attempts) this.#transactions.expectUnknown(toHex(rid));
    return stored;
  }

  /** What etcd has of a generation that is live. Throws RECORD_UNKNOWN, GENERATION_UNKNOWN, ERASED, RECORD_OUTDATED. */
  async expectLive(rid: Uint8Array, g: Uint8Array): Promise<Attempts> {
    return attempts.expectLive((await this.readCurrent(rid)).attempts, g);
  }

  /** ENROL. Adds sub-records that came later to a generation that is committed already. Throws GENERATION_CONFLICT. */
  async enrol(hashed: HashedBody, subRecords: readonly SubRecord[]): Promise<void> {
    const { body } = hashed;
    const key = toHex(body.rid);
    await this.#transactions.update(key, [`r/${key}`], (current, [stored]) => {
      const { next } = attempts.enrol(current, hashed, this.#incarnation);
      const before = next || !stored ? [] : decode(RecordSchema, stored.value, 'a record').subRecords;
      const merged = mergeSubRecords(before, subRecords.map(renderSubRecord));
      if (!next && merged.every((s) => before.some((b) => isSame(b, s)))) return { next: undefined, writes: [], result: undefined };
      const value = toBinary(RecordSchema, create(RecordSchema, { body, subRecords: merged }));
      const writes: Write[] = [{ put: `r/${key}`, value }, ...(next ? [{ delete: `x/${key}` }] : [])]; // a late holder changes nothing of the attempts
      return { next: next ?? current, writes, result: undefined };
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
  async reorder(rid: Uint8Array, points: readonly GrantedPoint[], seen: Attempts, servers: readonly Guarded[]): Promise<void> {
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
      return { next, writes: [{ delete: `r/${key}` }, { delete: `x/${key}` }], result: next !== undefined };
    });
  }

  /** Records that are exhausted, in order of rid, with the time of their last attempt: at most `limit`, from after `after` on. */
  async exhausted(limit: number, after?: Uint8Array): Promise<{ rid: Uint8Array; since: Millis }[]> {
    const entries = await this.#etcd.list('x/', limit, after && `x/${toHex(after)}`);
    return entries.map(({ key, value }) => ({ rid: Buffer.from(key.slice(2), 'hex'), since: Number(Buffer.from(value).toString()) }));
  }

  /** Records that are known, in order of rid: at most `limit`, from after `after` on. */
  async rids(limit: number, after?: Uint8Array): Promise<Uint8Array[]> {
    const entries = await this.#etcd.list('a/', limit, after && `a/${toHex(after)}`);
    return entries.map(({ key }) => Buffer.from(key.slice(2), 'hex'));
  }

  /** Records with what the replicas stored of them, as etcd has them, in order of rid: at most `limit`, from after `after` on. */
  async records(limit: number, after?: Uint8Array): Promise<{ rid: Uint8Array; record: Record }[]> {
    const entries = await this.#etcd.list('r/', limit, after && `r/${toHex(after)}`);
    return entries.map(({ key, value }) => ({ rid: Buffer.from(key.slice(2), 'hex'), record: decode(RecordSchema, value, 'a record') }));
  }

  /** Which of the next `limit` records after `after` etcd shows erased, and the last one looked at, undefined at the end. */
  async erased(limit: number, after?: Uint8Array): Promise<{ erased: Uint8Array[]; last: Uint8Array | undefined }> {
    const entries = await this.#etcd.list('a/', limit, after && `a/${toHex(after)}`);
    const ridOf = ({ key }: { key: string }) => Buffer.from(key.slice(2), 'hex');
    const last = entries.at(-1);
    return { erased: entries.filter(mayBeErased).map(ridOf), last: last && entries.length === limit ? ridOf(last) : undefined };
  }

  /** RECONCILE with what n−t+1 guards or more remember. Returns whether there was something to write. */
  async reconcile(rid: Uint8Array, recalled: readonly Recalled[], options: Omit<ReconcileOptions, 'incarnation'>): Promise<boolean> {
    const key = toHex(rid);
    const changed = await this.#transactions.updateOutdated(key, [`r/${key}`], (current, [stored]) => {
      const before = { attempts: current, record: decodeRecord(stored) };
      const after = reconcile(before, recalled, { ...options, incarnation: this.#incarnation });
      const { attempts: next, record } = after ?? { attempts: undefined, record: undefined };
      const isFull = next && attempts.isExhausted(next);
      const writes: Write[] = [
        record ? { put: `r/${key}`, value: toBinary(RecordSchema, record) } : { delete: `r/${key}` },
        isFull ? { put: `x/${key}`, value: Buffer.from(String(next.lastAttemptMs)) } : { delete: `x/${key}` },
      ];
      return { next, writes, result: next !== undefined };
    });
    return changed ?? false;
  }
}

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

const decodeRecord = (stored: Versioned | undefined): Record | undefined => stored && decode(RecordSchema, stored.value, 'a record');

/** Whether etcd has a replica's sub-record as this replica has it. */
export const holds = (record: Record | undefined, subRecord: SubRecord): boolean =>
  record?.subRecords.some((each) => isSame(each, renderSubRecord(subRecord))) ?? false;

const isSame = (a: SubRecordMessage, b: SubRecordMessage): boolean => a.index === b.index && constantTimeEqual(a.value, b.value);

/** The body of a stored record, if it is the one that the register names. */
export function committedBody(record: Record | undefined, current: Attempts): HashedBody | undefined {
  if (!record?.body) return undefined;
  const hashed = parseBody(record.body);
  return constantTimeEqual(hashed.bodyHash, current.bodyHash) ? hashed : undefined;
}
