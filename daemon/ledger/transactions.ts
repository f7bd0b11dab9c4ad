import { type DescMessage, fromBinary, type MessageShape, toBinary } from '@bufbuild/protobuf';
import { LRUCache } from 'lru-cache';
import { isVaultError, VaultError } from '../../primitives/errors.ts';
import { type Attempts, AttemptsSchema } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { ABSENT, type Condition, type Etcd, type Versioned, type Write } from './etcd.ts';

const INCARNATION = 'meta/incarnation';
const ROUNDS = 8; // each lost race is some other device's progress; a user's devices are few

/** What a step makes of what it read: a value for a/<rid>, and what else the same transaction writes. */
export interface Change<T> {
  /** Undefined: nothing to write, it is so already. */
  readonly next: Attempts | undefined;
  readonly writes: readonly Write[];
  readonly result: T;
}

export type Step<T> = (current: Attempts | undefined, others: readonly (Versioned | undefined)[]) => Change<T>;

/** What this replica remembers of etcd, apart from it. */
export interface StoreMemory {
  readonly holdsRecords: boolean;
  /** The incarnation that it served under last; 0 if it never did. */
  readonly incarnation: number;
}

/**
 * Reads and compare-and-swap on a record's register, fenced by the incarnation that the fleet statement pins: a replica that was not
 * told of a restore of etcd, or an etcd that was restored without telling, stops here.
 */
export class Transactions {
  readonly #etcd: Etcd;
  readonly #incarnation: number;
  /** Records that neither etcd nor the guards know, so that they need not be asked again. */
  readonly #unknown = new LRUCache<string, true>({ max: 100_000 });

  constructor(etcd: Etcd, incarnation: number) {
    this.#etcd = etcd;
    this.#incarnation = incarnation;
  }

  /**
   * Puts the incarnation in force: in an etcd that holds none, or an earlier one. Throws STORE_CORRUPT where this replica remembers
   * records and etcd forgot them without a statement that says so; STATEMENT_MISMATCH where etcd is of a later one.
   */
  async initialise(memory: StoreMemory): Promise<void> {
    const [pinned] = await this.#etcd.read(INCARNATION);
    const found = pinned && Number(textOf(pinned));
    if (found === undefined && memory.holdsRecords && memory.incarnation >= this.#incarnation)
      throw new VaultError(
        'STORE_CORRUPT',
        'etcd is empty, but this replica’s guard holds records: follow the runbook for a restore of etcd.',
      );
    if (found !== undefined && found > this.#incarnation)
      throw new VaultError('STATEMENT_MISMATCH', `etcd is of incarnation ${found}: this replica needs the fleet statement that says so.`);
    if (found !== this.#incarnation)
      await this.#etcd.commit({
        conditions: [{ key: INCARNATION, modRevision: pinned?.modRevision ?? ABSENT }],
        writes: [{ put: INCARNATION, value: Buffer.from(String(this.#incarnation)) }],
        otherwise: [],
      });
    const [now] = await this.#etcd.read(INCARNATION);
    this.#expectFence(now);
  }

  /** Linearizable: a/<rid>, then what else is asked for. Throws RECORD_OUTDATED, STORE_UNAVAILABLE, STORE_CORRUPT. */
  async read(rid: string, ...also: string[]): Promise<[Attempts | undefined, ...(Versioned | undefined)[]]> {
    const [register, fence, ...others] = await this.#etcd.read(`a/${rid}`, INCARNATION, ...also);
    this.#expectFence(fence);
    const attempts = decodeAttempts(register);
    return [attempts && this.#expectCurrent(rid, attempts), ...others];
  }

  /** Throws RECORD_OUTDATED for a record that etcd does not have, while the guards may have it. */
  expectUnknown(rid: string): void {
    this.#expectCurrent(rid, undefined);
  }

  /** Takes a step from what etcd holds now. Throws what the step throws, and as `#update` does; RECORD_OUTDATED. */
  update<T>(rid: string, also: readonly string[], step: Step<T>): Promise<T> {
    return this.#update(rid, also, (current, others) => step(this.#expectCurrent(rid, current), others));
  }

  /** Takes a step from what etcd held before it was restored. Undefined where there is nothing from before. */
  updateOutdated<T>(rid: string, also: readonly string[], step: Step<T>): Promise<T | undefined> {
    return this.#update<T | undefined>(rid, also, (current, others) => {
      if (current?.incarnation === BigInt(this.#incarnation)) return { next: undefined, writes: [], result: undefined };
      const change = step(current, others);
      if (!current && !change.next) this.#unknown.set(rid, true);
      return change;
    });
  }

  /**
   * Reads, takes the step, and writes if nothing changed in between. A failed compare and an unknown outcome are treated alike:
   * read again, and let the step find out whether it is done. Reading back proves nothing, so an unknown outcome is never taken
   * for a failure. Throws OUTCOME_UNKNOWN, STORE_UNAVAILABLE, STORE_CORRUPT.
   */
  async #update<T>(rid: string, also: readonly string[], step: Step<T>): Promise<T> {
    const keys = [`a/${rid}`, INCARNATION, ...also];
    let seen: (Versioned | undefined)[] | undefined;
    let failure: unknown;
    for (let round = 0; round < ROUNDS; round++) {
      seen ??= await this.#etcd.read(...keys);
      const [register, fence, ...others] = seen;
      this.#expectFence(fence);
      const { next, writes, result } = step(decodeAttempts(register), others);
      if (!next) return result;
      try {
        const committed = await this.#etcd.commit({
          conditions: this.#conditions(rid, register),
          writes: [{ put: `a/${rid}`, value: toBinary(AttemptsSchema, next) }, ...writes],
          otherwise: keys,
        });
        if (committed.applied) return result;
        seen = committed.found;
      } catch (error) {
        if (!isVaultError(error, 'OUTCOME_UNKNOWN')) throw error;
        failure = error;
        seen = undefined;
      }
    }
    throw failure ?? new VaultError('OUTCOME_UNKNOWN', 'Too many devices changed the record at once; send exactly the same bytes again.');
  }

  #conditions(rid: string, register: Versioned | undefined): Condition[] {
    return [
      { key: `a/${rid}`, modRevision: register?.modRevision ?? ABSENT },
      { key: INCARNATION, value: String(this.#incarnation) },
    ];
  }

  #expectFence(incarnation: Versioned | undefined): void {
    if (!incarnation || textOf(incarnation) !== String(this.#incarnation))
      throw new VaultError('STORE_UNAVAILABLE', 'etcd is of another incarnation than the fleet statement; an operator must look.');
  }

  /** After a restore, what etcd says of a record, or that it says nothing, counts only once the guards were asked. */
  #expectCurrent(rid: string, attempts: Attempts | undefined): Attempts | undefined {
    const isCurrent = attempts ? attempts.incarnation === BigInt(this.#incarnation) : this.#incarnation === 1 || this.#unknown.has(rid);
    if (isCurrent) return attempts;
    throw new VaultError('RECORD_OUTDATED', 'etcd’s entry is from before it was restored; send the same bytes again.');
  }
}

const textOf = ({ value }: Versioned): string => Buffer.from(value).toString();

const decodeAttempts = (register: Versioned | undefined): Attempts | undefined =>
  register && decode(AttemptsSchema, register.value, 'a record’s register');

/** Throws STORE_CORRUPT. */
export function decode<M extends DescMessage>(schema: M, value: Uint8Array, what: string): MessageShape<M> {
  try {
    return fromBinary(schema, value);
  } catch (cause) {
    throw new VaultError('STORE_CORRUPT', `The value of ${what} in etcd cannot be read; an operator must look.`, { cause });
  }
}
