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

const encoding = { valueEncoding: 'view' } as const;
const SEQUENCE = 'sequence'; // of the last write, in the same batch

/**
 * A key-value store in `store/` whose writes are numbered, and `mark` with the number of the last one that was acknowledged: so that a
 * store that lost something can be told. One process at a time; every write is durable before it returns.
 */
export class NumberedStore {
  readonly #level: Level;
  readonly #mark: Mark;
  readonly #writes: GroupCommit<Operation>;
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

  /** Throws GUARD_MISSING, GUARD_MISMATCH. */
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

  async get(key: string): Promise<Uint8Array | undefined> {
    return (await this.#opened()).get(key);
  }

  /** Entries whose key begins with `prefix`, in order. */
  async entries(prefix: string, limit = -1): Promise<[string, Uint8Array][]> {
    return (await this.#opened()).iterator({ ...under(prefix), limit }).all();
  }

  async *keys(prefix: string): AsyncIterable<string> {
    yield* (await this.#opened()).keys(under(prefix));
  }

  /** All or nothing, and durable when it resolves. */
  write(operations: readonly Operation[]): Promise<void> {
    return this.#writes.write(operations);
  }

  async close(): Promise<void> {
    await this.#writes.idle();
    this.#isClosed = true;
    await this.#level.close();
    await this.#mark.close();
  }

  /** The mark follows the store: where it is ahead at the next start, the store lost what was acknowledged. */
  async #commit(operations: readonly Operation[]): Promise<void> {
    if (this.#isInDoubt) await this.#reopenOnce();
    const sequence = this.#sequence + 1n;
    try {
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

  /** For reading: opens it again where that failed before, or waits until it is. */
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
    throw new VaultError(
      'GUARD_MISSING',
      `The guard in ${directory} cannot be opened; restore it, or make it with "bkvctl guard create".`,
      {
        cause,
      },
    );
  }
}

const under = (prefix: string) => ({ gte: prefix, lt: `${prefix}~` });

/** 8 bytes big-endian; 0 where there is none. */
export const decodeNumber = (value: Uint8Array | undefined): bigint => (value ? Buffer.from(value).readBigUInt64BE() : 0n);
