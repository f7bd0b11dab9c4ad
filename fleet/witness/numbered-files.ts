import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Bytes } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import { createDurably, isTemporary, makeDirectoryDurably } from './durable-file.ts';

/** An append-only list of small files `000000`, `000001`, … in a directory of its own. Nothing in it is ever replaced or removed. */
export class NumberedFiles {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** The explicit beginning. */
  make(): void {
    makeDirectoryDurably(this.#directory);
  }

  /** All of them, in order. Throws LOG_MISSING when the directory or one of the numbers is not there. */
  read(): Bytes[] {
    return this.#names().map((name) => this.#file(name));
  }

  /** The last, and its number; undefined if there is none. Throws as read(). */
  last(): { readonly number: number; readonly data: Bytes } | undefined {
    const names = this.#names();
    const name = names.at(-1);
    return name === undefined ? undefined : { number: names.length - 1, data: this.#file(name) };
  }

  /** Durable when it returns. False if this number was taken in the meantime: read again, then decide again. */
  append(number: number, data: Uint8Array): boolean {
    return createDurably(join(this.#directory, nameOf(number)), data);
  }

  #names(): string[] {
    let names: Set<string>;
    try {
      names = new Set(readdirSync(this.#directory).filter((name) => !isTemporary(name))); // a crash leaves those behind
    } catch (cause) {
      throw new VaultError('LOG_MISSING', `The directory ${this.#directory} cannot be read: it is never made by itself.`, { cause });
    }
    const expected = Array.from(names, (_, number) => nameOf(number));
    const gap = expected.find((name) => !names.has(name));
    if (gap !== undefined) throw new VaultError('LOG_MISSING', `The file ${gap} is missing in ${this.#directory}, or another is not its.`);
    return expected;
  }

  #file(name: string): Bytes {
    return new Uint8Array(readFileSync(join(this.#directory, name)));
  }
}

const nameOf = (number: number): string => String(number).padStart(6, '0');
