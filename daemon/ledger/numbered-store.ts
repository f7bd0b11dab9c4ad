import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import { uint64 } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import { faultPoint } from '../fault-point.ts';
import { GroupCommit } from './group-commit.ts';
import { Mark } from './mark.ts';

type Level = ClassicLevel<string, Uint8Array>;
export type Operation = { type: 'put'; key: string; value: Uint8Array } | { type: 'del'; key: string };

/** Writes what is there at the moment of the write, or that nothing is, once more. */
interface Again {
  readonly type: 'again';
  readonly key: string;
}

const encoding = { valueEncoding: 'view' } as const;
const PAGE = 1000;
const SEQUENCE = 'sequence'; // of the last write, in the same batch
const NOWHERE = '!'; // before all keys: to compact there writes out what is in memory, and begins another log

/**
 * A key-value store in `store/` whose writes are numbered, and `mark` with the number of the last one that was acknowledged: so that a
 * store that lost something can be told. One process at a time; every write is durable before it returns.
 */
export class NumberedStore {
  readonly #level: Level;
  readonly #mark: Mark;
  readonly #writes: GroupCommit<Operation | Again>;
  /** They keep older values and files alive. */
  readonly #reads = new Set<Promise<unknown>>();
  #sequence: bigint;
  /** A write failed: whether it is there, opening the store anew will show. Until then nothing is read or written. */
  #isInDoubt = false;
  #reopening: Promise<void> | undefined;
  #isClosed = false;

  private constructor(level: Level, mark: Mark, sequence: bigint) {
    this.#level = level;
    this.#mark = mark;
    this.#sequence = sequence;
    this.#writes = new GroupCommit((operations) => this.#commit(operations));
  }

  /** Never over one that is there: throws GUARD_MISMATCH. */
  static async create(directory: string, key: string, value: Uint8Array): Promise<void> {
    try {
      await mkdir(directory, { recursive: true, mode: 0o700 });
      await Mark.create(join(directory, 'mark'));
      const level: Level = new ClassicLevel(join(directory, 'store'), { ...encoding, createIfMissing: true, errorIfExists: true });
      await level.open();
      await level.put(key, value, { sync: true });
      await level.close();
    } catch (cause) {
      throw new VaultError('GUARD_MISMATCH', `There is a guard in ${directory} already, or none can be made there; it is left as it is.`, {
        cause,
      });
    }
  }

  /** Throws GUARD_MISSING, GUARD_MISMATCH, GUARD_FAILING. */
  static async open(directory: string): Promise<NumberedStore> {
    const { mark, value: acknowledged } = await Mark.open(join(directory, 'mark'));
    const level: Level = new ClassicLevel(join(directory, 'store'), { ...encoding, createIfMissing: false }); // a lost guard is an alarm, not a fresh start
    try {
      await opening(level, directory);
      const sequence = decodeNumber(await level.get(SEQUENCE));
      if (sequence < acknowledged)
        throw new VaultError(
          'GUARD_MISMATCH',
          `The guard in ${directory} is at write ${sequence}, but acknowledged ${acknowledged}: it lost attempts. Replace it as the runbook says.`,
        );
      return new NumberedStore(level, mark, sequence);
    } catch (error) {
      await level.close();
      await mark.close();
      throw error;
    }
  }

  /** Of the last write: greater at each start, since each writes. */
  get sequence(): bigint {
    return this.#sequence;
  }

  get(key: string): Promise<Uint8Array | undefined> {
    return this.#reading((level) => level.get(key));
  }

  /** Entries whose key begins with `prefix`, in order. */
  entries(prefix: string, limit = -1): Promise<[string, Uint8Array][]> {
    return this.#reading((level) => level.iterator({ ...under(prefix), limit }).all());
  }

  /** Keys that begin with `prefix`, in pages: one long iteration would keep alive what is purged meanwhile. */
  async *keys(prefix: string): AsyncIterable<string> {
    const { gte, lt } = under(prefix);
    let page = await this.#reading((level) => level.keys({ gte, lt, limit: PAGE }).all());
    for (;;) {
      yield* page;
      const gt = page.at(-1);
      if (gt === undefined || page.length < PAGE) return;
      page = await this.#reading((level) => level.keys({ gt, lt, limit: PAGE }).all());
    }
  }

  /** All or nothing, and durable when it resolves. */
  write(operations: readonly Operation[]): Promise<void> {
    return this.#writes.write(operations);
  }

  /**
   * LevelDB leaves in its files what was overwritten or deleted. After this they hold no value of `keys` but what stands there now; then
   * `operations` are written. The files that held them are deleted, not overwritten: the file system may keep their bytes as free space.
   */
  async purge(keys: readonly string[], operations: readonly Operation[]): Promise<void> {
    await this.#readsUnderWay(); // a compaction keeps what they see
    // A compaction rewrites a file of the lowest level only for what lies above it, and an old value may be there beside what replaced it.
    // So all is written out of memory first, and then what stands at the keys once more, which comes to lie above.
    await this.#compact([NOWHERE]);
    await this.#writes.write(keys.map((key) => ({ type: 'again', key })));
    await this.#compact(keys);
    await this.#readsUnderWay();
    await this.#compact(keys); // deletes the files that those kept, and reaches what LevelDB's own compaction moved down meanwhile
    await this.#writes.write(operations); // throws if a compaction failed, which does not say so itself
  }

  async close(): Promise<void> {
    await this.#writes.idle();
    this.#isClosed = true;
    await this.#level.close();
    await this.#mark.close();
  }

  /** The mark follows the store: where it is ahead at the next start, the store lost what was acknowledged. */
  async #commit(group: readonly (Operation | Again)[]): Promise<void> {
    if (this.#isInDoubt) await this.#reopenOnce();
    const sequence = this.#sequence + 1n;
    try {
      const operations = await this.#resolve(group);
      faultPoint('before-guard-write');
      await this.#level.batch([...operations, { type: 'put', key: SEQUENCE, value: uint64(sequence) }], { sync: true }); // the default returns before the disk has it
      this.#sequence = sequence;
      faultPoint('between-guard-and-mark');
      await this.#mark.write(sequence);
      faultPoint('after-guard-write');
    } catch (error) {
      this.#isInDoubt = true;
      throw error;
    }
  }

  /** What is written again goes first: all else in the group is later than it. */
  async #resolve(group: readonly (Operation | Again)[]): Promise<Operation[]> {
    const keys = group.filter((operation) => operation.type === 'again').map(({ key }) => key);
    const values = keys.length === 0 ? [] : await this.#level.getMany(keys);
    const again = keys.map((key, i): Operation => {
      const value = values[i];
      return value ? { type: 'put', key, value } : { type: 'del', key };
    });
    return [...again, ...group.filter((operation) => operation.type !== 'again')];
  }

  async #compact(keys: readonly string[]): Promise<void> {
    const level = await this.#opened();
    for (const key of keys) await level.compactRange(key, key);
  }

  async #reading<T>(read: (level: Level) => Promise<T>): Promise<T> {
    const reading = this.#opened().then(read);
    this.#reads.add(reading);
    try {
      return await reading;
    } finally {
      this.#reads.delete(reading);
    }
  }

  async #readsUnderWay(): Promise<void> {
    await Promise.allSettled(this.#reads);
  }

  /** Opens it again where that failed before, or waits until it is. */
  async #opened(): Promise<Level> {
    if ((this.#isInDoubt || this.#level.status !== 'open') && !this.#isClosed) await this.#reopenOnce();
    return this.#level;
  }

  #reopenOnce(): Promise<void> {
    this.#reopening ??= this.#reopen().finally(() => {
      this.#reopening = undefined;
    });
    return this.#reopening;
  }

  /**
   * After a failed write LevelDB takes its log to be longer than it is, and what it acknowledges from then on is lost at the next
   * start: a disk that was full for a moment would cost the whole guard. Opened anew, it starts another log.
   */
  async #reopen(): Promise<void> {
    await this.#level.close();
    await this.#level.open();
    const sequence = decodeNumber(await this.#level.get(SEQUENCE));
    if (sequence < this.#sequence)
      throw new VaultError('GUARD_MISMATCH', 'The guard lost attempts when its disk failed. Replace it as the runbook says.');
    this.#sequence = sequence; // one more, where the write that failed is there after all
    await this.#mark.write(sequence);
    this.#isInDoubt = false;
  }
}

async function opening(level: Level, directory: string): Promise<void> {
  try {
    await level.open();
  } catch (cause) {
    const reason = (cause as { cause?: { code?: string } }).cause?.code;
    if (reason === 'LEVEL_LOCKED')
      throw new VaultError('GUARD_MISMATCH', `The guard in ${directory} is open in another process; stop that one first.`, { cause });
    if (reason === 'LEVEL_IO_ERROR' && existsSync(join(directory, 'store/CURRENT')))
      throw new VaultError('GUARD_FAILING', `The guard in ${directory} is there and cannot be opened: ${reasonOf(cause)}.`, { cause });
    throw new VaultError(
      'GUARD_MISSING',
      `The guard in ${directory} cannot be opened; restore it, or make it with "bkvctl guard create".`,
      {
        cause,
      },
    );
  }
}

const reasonOf = (error: unknown): string => ((error as Error).cause as Error | undefined)?.message ?? (error as Error).message;

const under = (prefix: string) => ({ gte: prefix, lt: `${prefix}~` });

/** 8 bytes big-endian; 0 where there is none. */
export const decodeNumber = (value: Uint8Array | undefined): bigint => (value ? Buffer.from(value).readBigUInt64BE() : 0n);
