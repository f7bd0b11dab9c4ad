import { create, type DescMessage, fromBinary, type MessageShape, toBinary } from '@bufbuild/protobuf';
import type { Millis } from '../../primitives/brand.ts';
import { constantTimeEqual, toHex } from '../../primitives/bytes.ts';
import type { Clock } from '../../primitives/clock.ts';
import { VaultError } from '../../primitives/errors.ts';
import { type Attempts, AttemptsSchema, type Record, RecordSchema, type SubRecord } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { type HashedBody, parseBody } from '../../protocol/body.ts';
import * as attempts from './attempts.ts';
import { ABSENT, type Condition, type Etcd, type Versioned, type Write } from './etcd.ts';

const INCARNATION = 'meta/incarnation';
const ROUNDS = 8; // each lost race is some other device's progress; a user's devices are few

/** A value to write to a/<rid>, and what else the same transaction writes. */
interface Change<T> {
  readonly next: Attempts | undefined;
  readonly writes: readonly Write[];
  readonly result: T;
}

/**
 * The records in etcd: a/<rid> is a compare-and-swap register, r/<rid> the record, x/<rid> an index of what is exhausted.
 * etcd decides the order of attempts and nothing else: the guards decide whether one may happen.
 */
export class Register {
  readonly #etcd: Etcd;
  readonly #incarnation: number;
  readonly #clock: Clock;

  constructor(etcd: Etcd, incarnation: number, clock: Clock) {
    this.#etcd = etcd;
    this.#incarnation = incarnation;
    this.#clock = clock;
  }

  /**
   * Pins the incarnation, in an etcd that holds nothing yet and for a replica that never served. Throws STORE_CORRUPT where this
   * replica remembers records and etcd does not: that etcd lost its data, and an operator must restore it.
   */
  async initialise(replicaIsNew: boolean): Promise<void> {
    const [incarnation] = await this.#etcd.read(INCARNATION);
    if (!incarnation) {
      if (!replicaIsNew)
        throw new VaultError('STORE_CORRUPT', 'etcd is empty, but this replica’s guard holds records: restore etcd first.');
      const value = Buffer.from(String(this.#incarnation));
      await this.#etcd.commit({
        conditions: [{ key: INCARNATION, modRevision: ABSENT }],
        writes: [{ put: INCARNATION, value }],
        otherwise: [],
      });
    }
    const [pinned] = await this.#etcd.read(INCARNATION);
    this.#expectFence(pinned, undefined);
  }

  /** Linearizable. */
  async read(rid: Uint8Array): Promise<{ attempts: Attempts | undefined; record: Record | undefined }> {
    const key = toHex(rid);
    const [a, r] = await this.#etcd.read(`a/${key}`, `r/${key}`);
    return { attempts: this.#decode(a), record: r && decode(RecordSchema, r.value, `r/${key}`) };
  }

  /** ENROL. Adds sub-records that came later to a generation that is committed already. Throws GENERATION_CONFLICT, and as `#update` does. */
  async enrol(hashed: HashedBody, subRecords: readonly SubRecord[]): Promise<void> {
    const { body } = hashed;
    const key = toHex(body.rid);
    await this.#update(key, [`r/${key}`], (current, [stored]) => {
      const { next } = attempts.enrol(current, hashed, this.#incarnation);
      const before = next || !stored ? [] : decode(RecordSchema, stored.value, `r/${key}`).subRecords;
      const merged = mergeSubRecords(before, subRecords);
      if (!next && merged.every((s) => before.some((b) => sameTag(b, s)))) return { next: undefined, writes: [], result: undefined };
      const value = toBinary(RecordSchema, create(RecordSchema, { body, subRecords: merged }));
      return { next: next ?? current, writes: [{ put: `r/${key}`, value }, { delete: `x/${key}` }], result: undefined };
    });
  }

  /** SPEND. Returns which attempt the point is, new or known. Throws as attempts.spend and `#update` do. */
  spend(rid: Uint8Array, g: Uint8Array, pointHash: Uint8Array): Promise<{ attempt: number; bodyHash: Uint8Array }> {
    const key = toHex(rid);
    return this.#update(key, [], (current) => {
      const now = this.#clock.now();
      const { next, attempt } = attempts.spend(current, g, pointHash, now);
      const writes: Write[] = next && attempts.isExhausted(next) ? [{ put: `x/${key}`, value: Buffer.from(String(Math.floor(now))) }] : [];
      return { next, writes, result: { attempt, bodyHash: (current as Attempts).bodyHash } };
    });
  }

  /** ERASE on a tenant's word. Throws as attempts.erase and `#update` do. */
  erase(rid: Uint8Array, g: Uint8Array): Promise<boolean> {
    return this.#erase(rid, (current) => attempts.erase(current, g));
  }

  /** ERASE of an exhausted record whose grace is over; false where nothing was to erase. Throws as `#update` does. */
  eraseIfDue(rid: Uint8Array, grace: Millis): Promise<boolean> {
    return this.#erase(rid, (current) => attempts.eraseIfDue(current, this.#clock.now(), grace));
  }

  #erase(rid: Uint8Array, step: (current: Attempts | undefined) => attempts.Step): Promise<boolean> {
    const key = toHex(rid);
    return this.#update(key, [], (current) => {
      const { next } = step(current);
      return { next, writes: [{ delete: `r/${key}` }, { delete: `x/${key}` }], result: next !== undefined };
    });
  }

  /** Records that are exhausted, in order of rid, with the time of their last attempt: at most `limit`, from after `after` on. */
  async exhausted(limit: number, after?: Uint8Array): Promise<{ rid: Uint8Array; since: Millis }[]> {
    const entries = await this.#etcd.list('x/', limit, after && `x/${toHex(after)}`);
    return entries.map(({ key, value }) => ({ rid: Buffer.from(key.slice(2), 'hex'), since: Number(Buffer.from(value).toString()) }));
  }

  /**
   * Reads, takes the step, and writes if nothing changed in between. A failed compare and an unknown outcome are treated alike:
   * read again, and let the step find out whether it is done. Reading back proves nothing, so an unknown outcome is never taken
   * for a failure. Throws OUTCOME_UNKNOWN, STORE_UNAVAILABLE, STORE_CORRUPT.
   */
  async #update<T>(
    key: string,
    also: readonly string[],
    step: (current: Attempts | undefined, others: readonly (Versioned | undefined)[]) => Change<T>,
  ): Promise<T> {
    const keys = [`a/${key}`, INCARNATION, `shard/${shardOf(key)}`, ...also];
    let seen: (Versioned | undefined)[] | undefined;
    let failure: unknown;
    for (let round = 0; round < ROUNDS; round++) {
      seen ??= await this.#etcd.read(...keys);
      const [register, fence, shard, ...others] = seen;
      this.#expectFence(fence, shard);
      const { next, writes, result } = step(this.#decode(register), others);
      if (!next) return result;
      try {
        const committed = await this.#etcd.commit({
          conditions: this.#conditions(key, register),
          writes: [{ put: `a/${key}`, value: toBinary(AttemptsSchema, next) }, ...writes],
          otherwise: keys,
        });
        if (committed.applied) return result;
        seen = committed.found;
      } catch (error) {
        if (!(error instanceof VaultError && error.code === 'OUTCOME_UNKNOWN')) throw error;
        failure = error;
        seen = undefined;
      }
    }
    throw failure ?? new VaultError('OUTCOME_UNKNOWN', 'Too many devices changed the record at once; send exactly the same bytes again.');
  }

  #conditions(key: string, register: Versioned | undefined): Condition[] {
    return [
      { key: `a/${key}`, modRevision: register?.modRevision ?? ABSENT },
      { key: INCARNATION, value: String(this.#incarnation) }, // fences every replica that was not told of a restore
      { key: `shard/${shardOf(key)}`, modRevision: ABSENT }, // a shard that is being moved has a mark there
    ];
  }

  #expectFence(incarnation: Versioned | undefined, shard: Versioned | undefined): void {
    if (!incarnation || Buffer.from(incarnation.value).toString() !== String(this.#incarnation))
      throw new VaultError('STORE_UNAVAILABLE', 'etcd is of another incarnation than the fleet statement; an operator must look.');
    if (shard) throw new VaultError('STORE_UNAVAILABLE', 'The record’s shard is being moved; send the same bytes again later.');
  }

  #decode(register: Versioned | undefined): Attempts | undefined {
    if (!register) return undefined;
    const value = decode(AttemptsSchema, register.value, 'a');
    if (value.incarnation !== BigInt(this.#incarnation))
      throw new VaultError('STORE_CORRUPT', 'The record is of another incarnation of etcd; an operator must reconcile it with the guards.');
    return value;
  }
}

/** 1024 shards by the first ten bits of rid. */
const shardOf = (ridHex: string): number => Number.parseInt(ridHex.slice(0, 3), 16) >> 2;

function decode<M extends DescMessage>(schema: M, value: Uint8Array, what: string): MessageShape<M> {
  try {
    return fromBinary(schema, value);
  } catch (cause) {
    throw new VaultError('STORE_CORRUPT', `The value of ${what} in etcd cannot be read; an operator must look.`, { cause });
  }
}

const sameTag = (a: SubRecord, b: SubRecord): boolean => a.index === b.index && constantTimeEqual(a.tag, b.tag);

/** The newer sub-record of a replica wins: it is the one that its guard has prepared. */
function mergeSubRecords(before: readonly SubRecord[], now: readonly SubRecord[]): SubRecord[] {
  const kept = before.filter((b) => !now.some((n) => n.index === b.index));
  return [...kept, ...now].sort((a, b) => a.index - b.index);
}

/** The body of a stored record, if it is the one that the register names. */
export function committedBody(record: Record | undefined, current: Attempts): HashedBody | undefined {
  if (!record?.body) return undefined;
  const hashed = parseBody(record.body);
  return constantTimeEqual(hashed.bodyHash, current.bodyHash) ? hashed : undefined;
}
