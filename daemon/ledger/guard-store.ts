import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { ClassicLevel } from 'classic-level';
import { z } from 'zod';
import type { Millis } from '../../primitives/brand.ts';
import { type Bytes, toHex, uint64 } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import { GenerationSchema, type SubRecord } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { type HashedBody, parseBody } from '../../protocol/body.ts';
import { faultPoint } from '../fault-point.ts';
import { GroupCommit } from './group-commit.ts';
import { Mark } from './mark.ts';
import type { StoreMemory } from './transactions.ts';

const identitySchema = z.strictObject({ fleet: z.string(), replica: z.int(), incarnation: z.int() });

/** Whose guard it is: written at creation, compared at every start. */
export type GuardIdentity = z.infer<typeof identitySchema>;

/** All that a replica needs to serve a generation without asking anybody. */
export interface Generation extends HashedBody {
  readonly subRecord: SubRecord;
  /** Which of two generations of a record is the later one; 0 while prepared. */
  readonly number: bigint;
}

/** An attempt that was counted: the hash of its point, and when. */
export interface Counted {
  readonly pointHash: Uint8Array;
  readonly atMs: number;
}

/** What the guard knows of one record. */
export interface Guarded {
  readonly live: Generation | undefined;
  readonly prepared: readonly Generation[];
  /** H of the live generation, by attempt. Write-once. */
  readonly counted: ReadonlyMap<number, Counted>;
}

const encoding = { valueEncoding: 'view' } as const;

type Level = ClassicLevel<string, Uint8Array>;
type Operation = { type: 'put'; key: string; value: Uint8Array } | { type: 'del'; key: string };

// live/<rid>          the generation served
// prep/<rid>/<g>      generations that may have been committed
// h/<rid>/<k>         attempts counted
// full/<rid>          every attempt of the live generation is counted
// ended/<rid>         how many generations were live here and are no more
const keys = {
  identity: 'identity',
  incarnation: 'store-incarnation', // of etcd, under which this replica served last
  boot: 'boot', // who served last, as the token has it too
  sequence: 'sequence', // of the last write, in the same batch
  live: (rid: string) => `live/${rid}`,
  prepared: (rid: string, g = '') => `prep/${rid}/${g}`,
  counted: (rid: string, attempt?: number) => `h/${rid}/${attempt === undefined ? '' : String(attempt).padStart(3, '0')}`,
  full: (rid: string) => `full/${rid}`,
  ended: (rid: string) => `ended/${rid}`,
};

/**
 * The guard on disk: `store/`, and `mark` with the number of its last acknowledged write. One process at a time, every write durable
 * before it returns. What may be written is decided in guard.ts.
 */
export class GuardStore {
  readonly #level: Level;
  readonly #mark: Mark;
  readonly #writes: GroupCommit<Operation>;
  #sequence: bigint;
  /** A write failed, and nothing was written since. */
  #isInDoubt = false;

  private constructor(level: Level, mark: Mark, sequence: bigint) {
    this.#level = level;
    this.#mark = mark;
    this.#sequence = sequence;
    this.#writes = new GroupCommit((operations) => this.#commit(operations));
  }

  /** The explicit command that a new replica needs. Throws GUARD_MISMATCH where there is a store already. */
  static async create(directory: string, identity: GuardIdentity): Promise<void> {
    try {
      await mkdir(directory, { recursive: true, mode: 0o700 });
      await Mark.create(join(directory, 'mark'));
      const level: Level = new ClassicLevel(join(directory, 'store'), { ...encoding, createIfMissing: true, errorIfExists: true });
      await level.open();
      await level.put(keys.identity, Buffer.from(JSON.stringify(identity)), { sync: true });
      await level.close();
    } catch (cause) {
      throw new VaultError('GUARD_MISMATCH', `There is a guard in ${directory} already, or none can be made there; it is left as it is.`, {
        cause,
      });
    }
  }

  /** Throws GUARD_MISSING, GUARD_MISMATCH. */
  static async open(directory: string, identity: GuardIdentity): Promise<GuardStore> {
    const { mark, value: acknowledged } = await Mark.open(join(directory, 'mark'));
    const level: Level = new ClassicLevel(join(directory, 'store'), { ...encoding, createIfMissing: false }); // a lost guard is an alarm, not a fresh start
    try {
      await opening(level, directory);
      await expectIdentity(level, directory, identity);
      const sequence = decodeSequence(await level.get(keys.sequence));
      if (sequence < acknowledged)
        throw new VaultError(
          'GUARD_MISMATCH',
          `The guard in ${directory} is at write ${sequence}, but acknowledged ${acknowledged}: it lost attempts. Replace it as the runbook says.`,
        );
      return new GuardStore(level, mark, sequence);
    } catch (error) {
      await level.close();
      await mark.close();
      throw error;
    }
  }

  async read(ridBytes: Uint8Array): Promise<Guarded> {
    const rid = toHex(ridBytes);
    const [live, prepared, counted] = await Promise.all([
      this.#level.get(keys.live(rid)),
      this.#level.values(under(keys.prepared(rid))).all(),
      this.#level.iterator(under(keys.counted(rid))).all(),
    ]);
    return {
      live: live && decode(live),
      prepared: prepared.map(decode),
      counted: new Map(counted.map(([key, value]) => [Number(key.slice(-3)), decodeCounted(value)])),
    };
  }

  async putPrepared(generation: Generation, evicted: readonly Generation[]): Promise<void> {
    const rid = toHex(generation.body.rid);
    await this.#write([
      { type: 'put', key: keys.prepared(rid, toHex(generation.body.g)), value: encode(generation) },
      ...evicted.map(({ body }): Operation => ({ type: 'del', key: keys.prepared(rid, toHex(body.g)) })),
    ]);
  }

  /** Makes `generation` the live one; nothing of another generation remains. */
  async replaceLive(generation: Generation, before: Guarded): Promise<void> {
    const rid = toHex(generation.body.rid);
    const ended = before.live ? [await this.#endOne(rid)] : [];
    await this.#write([...clear(rid, before), ...ended, { type: 'put', key: keys.live(rid), value: encode(generation) }]);
  }

  async putCounted(ridBytes: Uint8Array, attempt: number, counted: Counted, isLast: boolean): Promise<void> {
    const rid = toHex(ridBytes);
    await this.#write([putCounted(rid, attempt, counted), ...(isLast ? [putFull(rid)] : [])]);
  }

  /** A live generation and its attempts, as others remember them, in a guard that knows nothing of the record. */
  async restore(generation: Generation, points: readonly Uint8Array[], atMs: Millis): Promise<void> {
    const rid = toHex(generation.body.rid);
    const { limit } = generation.body.policy;
    await this.#write([
      { type: 'put', key: keys.live(rid), value: encode(generation) },
      ...points.map((pointHash, i) => putCounted(rid, i + 1, { pointHash, atMs })),
      ...(points.length >= limit ? [putFull(rid)] : []),
    ]);
  }

  async remove(ridBytes: Uint8Array, before: Guarded): Promise<void> {
    const rid = toHex(ridBytes);
    await this.#write([...clear(rid, before), await this.#endOne(rid), { type: 'del', key: keys.live(rid) }]);
  }

  /** How many generations of the record were live here and are no more. Only goes up, and stays when all else of the record is gone. */
  async ended(rid: Uint8Array): Promise<bigint> {
    const count = await this.#level.get(keys.ended(toHex(rid)));
    return count ? Buffer.from(count).readBigUInt64BE() : 0n;
  }

  /** Record ids with a live generation, in pages; `full`: only those with every attempt counted. */
  async *rids(full: boolean): AsyncIterable<Uint8Array> {
    const prefix = full ? 'full/' : 'live/';
    for await (const key of this.#level.keys(under(prefix))) yield Buffer.from(key.slice(prefix.length), 'hex');
  }

  /** 32 bytes; zeros in a guard that never served. */
  async readBootRecord(): Promise<Bytes> {
    return new Uint8Array((await this.#level.get(keys.boot)) ?? new Uint8Array(32));
  }

  writeBootRecord(record: Uint8Array): Promise<void> {
    return this.#write([{ type: 'put', key: keys.boot, value: record }]);
  }

  /** What this replica remembers of etcd. */
  async memory(): Promise<StoreMemory> {
    const incarnation = await this.#level.get(keys.incarnation);
    return { holdsRecords: !(await this.#isEmpty()), incarnation: incarnation ? Number(Buffer.from(incarnation).toString()) : 0 };
  }

  rememberIncarnation(incarnation: number): Promise<void> {
    return this.#write([{ type: 'put', key: keys.incarnation, value: Buffer.from(String(incarnation)) }]);
  }

  async #isEmpty(): Promise<boolean> {
    const first = await Promise.all(['live/', 'prep/'].map((prefix) => this.#level.keys({ ...under(prefix), limit: 1 }).all()));
    return first.flat().length === 0;
  }

  async close(): Promise<void> {
    await this.#writes.idle();
    await this.#level.close();
    await this.#mark.close();
  }

  async #endOne(rid: string): Promise<Operation> {
    return { type: 'put', key: keys.ended(rid), value: uint64((await this.ended(Buffer.from(rid, 'hex'))) + 1n) };
  }

  #write(operations: Operation[]): Promise<void> {
    return this.#writes.write(operations);
  }

  /** The mark follows the store: where it is ahead at the next start, the store lost what was acknowledged. */
  async #commit(operations: readonly Operation[]): Promise<void> {
    if (this.#isInDoubt) await this.#reopen();
    const sequence = this.#sequence + 1n;
    const value = Buffer.alloc(8);
    value.writeBigUInt64BE(sequence);
    this.#isInDoubt = true;
    faultPoint('before-guard-write');
    await this.#level.batch([...operations, { type: 'put', key: keys.sequence, value }], { sync: true }); // the default returns before the disk has it
    this.#sequence = sequence;
    faultPoint('between-guard-and-mark');
    await this.#mark.write(sequence);
    this.#isInDoubt = false;
    faultPoint('after-guard-write');
  }

  /**
   * After a failed write LevelDB takes its log to be longer than it is, and what it acknowledges from then on is lost at the next
   * start: a disk that was full for a moment would cost the whole guard. Opened anew, it starts another log.
   */
  async #reopen(): Promise<void> {
    await this.#level.close();
    await this.#level.open();
    const sequence = decodeSequence(await this.#level.get(keys.sequence));
    if (sequence < this.#sequence)
      throw new VaultError('GUARD_MISMATCH', 'The guard lost attempts when its disk failed. Replace it as the runbook says.');
    this.#sequence = sequence; // one more, where the write that failed is there after all
  }
}

async function opening(level: Level, directory: string): Promise<void> {
  try {
    await level.open();
  } catch (cause) {
    const reason = (cause as { cause?: { code?: string } }).cause?.code;
    if (reason === 'LEVEL_LOCKED')
      throw new VaultError('GUARD_MISMATCH', `The guard in ${directory} is open in another process; stop that one first.`, { cause });
    throw new VaultError(
      'GUARD_MISSING',
      `The guard in ${directory} cannot be opened; restore it, or make it with "bkvctl guard create".`,
      {
        cause,
      },
    );
  }
}

async function expectIdentity(level: Level, directory: string, identity: GuardIdentity): Promise<void> {
  const stored = await level.get(keys.identity);
  const found = identitySchema.safeParse(stored && JSON.parse(Buffer.from(stored).toString()));
  if (!found.success || JSON.stringify(found.data) !== JSON.stringify(identitySchema.parse(identity)))
    throw new VaultError(
      'GUARD_MISMATCH',
      `The guard in ${directory} is not that of replica ${identity.replica} of fleet ${identity.fleet}, incarnation ${identity.incarnation}.`,
    );
}

const decodeSequence = (value: Uint8Array | undefined): bigint => (value ? Buffer.from(value).readBigUInt64BE() : 0n);

const under = (prefix: string) => ({ gte: prefix, lt: `${prefix}~` });

const putCounted = (rid: string, attempt: number, { pointHash, atMs }: Counted): Operation => ({
  type: 'put',
  key: keys.counted(rid, attempt),
  value: Buffer.concat([uint64(Math.floor(atMs)), pointHash]),
});

const putFull = (rid: string): Operation => ({ type: 'put', key: keys.full(rid), value: new Uint8Array(0) });

function clear(rid: string, before: Guarded): Operation[] {
  return [
    ...before.prepared.map(({ body }): Operation => ({ type: 'del', key: keys.prepared(rid, toHex(body.g)) })),
    ...[...before.counted.keys()].map((attempt): Operation => ({ type: 'del', key: keys.counted(rid, attempt) })),
    { type: 'del', key: keys.full(rid) },
  ];
}

const encode = ({ body, subRecord, number }: Generation): Uint8Array =>
  toBinary(GenerationSchema, { $typeName: 'backupvault.v1.Generation', body, subRecord, number });

function decode(value: Uint8Array): Generation {
  const { body, subRecord, number } = fromBinary(GenerationSchema, value);
  if (!subRecord) throw new VaultError('GUARD_MISMATCH', 'A generation in the guard has no sub-record; an operator must look.');
  return { ...parseBody(body), subRecord, number };
}

const decodeCounted = (value: Uint8Array): Counted => ({
  atMs: Number(Buffer.from(value).readBigUInt64BE(0)),
  pointHash: value.subarray(8),
});
