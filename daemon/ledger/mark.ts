import { constants, type FileHandle, open } from 'node:fs/promises';
import { VaultError } from '../../primitives/errors.ts';

const SLOT = 16; // the number, and its complement: a torn write cannot pass for a number
const SLOTS = 2; // written in turn: one of them is always whole

/**
 * The number of the last acknowledged write of a store, kept apart from it. A store that opens with a lower number has lost writes
 * that somebody relies on: a truncated or damaged log can otherwise open as an older state without any error.
 */
export class Mark {
  readonly #file: FileHandle;
  #next: number;

  private constructor(file: FileHandle, next: number) {
    this.#file = file;
    this.#next = next;
  }

  static async create(path: string): Promise<void> {
    const file = await open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
    await new Mark(file, 0).write(0n);
    await file.close();
  }

  /** Throws GUARD_MISSING where there is none, or none that can be read. */
  static async open(path: string): Promise<{ mark: Mark; value: bigint }> {
    const file = await open(path, constants.O_RDWR).catch((cause: unknown) => {
      throw new VaultError(
        'GUARD_MISSING',
        `There is no ${path}: restore the guard with its mark, or make a new one with "bkvctl guard create".`,
        { cause },
      );
    });
    const { buffer } = await file.read(Buffer.alloc(SLOT * SLOTS), 0, SLOT * SLOTS, 0);
    const values = Array.from({ length: SLOTS }, (_, i) => readSlot(buffer.subarray(i * SLOT, (i + 1) * SLOT)));
    const value = values.reduce((a, b) => (a === undefined || (b !== undefined && b > a) ? b : a));
    if (value === undefined) {
      await file.close();
      throw new VaultError('GUARD_MISSING', `The guard’s mark ${path} cannot be read; an operator must look.`);
    }
    return { mark: new Mark(file, values[0] === value ? 1 : 0), value };
  }

  /** Durable when it returns. */
  async write(value: bigint): Promise<void> {
    const slot = Buffer.alloc(SLOT);
    slot.writeBigUInt64BE(value, 0);
    slot.writeBigUInt64BE(complement(value), 8);
    await this.#file.write(slot, 0, SLOT, this.#next * SLOT);
    await this.#file.datasync();
    this.#next = (this.#next + 1) % SLOTS;
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

const complement = (value: bigint): bigint => value ^ 0xffff_ffff_ffff_ffffn;

function readSlot(slot: Buffer): bigint | undefined {
  const value = slot.readBigUInt64BE(0);
  return slot.readBigUInt64BE(8) === complement(value) ? value : undefined;
}
