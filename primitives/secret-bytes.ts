import type { Bytes } from './bytes.ts';

/** Bytes that print as nothing. Every read goes through `expose()`, so that a search finds all of them. */
export class SecretBytes {
  readonly #bytes: Bytes;

  constructor(bytes: Uint8Array) {
    this.#bytes = new Uint8Array(bytes);
  }

  /** The bytes themselves, not a copy: valid until `wipe()`. */
  expose(): Bytes {
    return this.#bytes;
  }

  wipe(): void {
    this.#bytes.fill(0);
  }

  toString(): string {
    return '[secret]';
  }

  toJSON(): string {
    return '[secret]';
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return '[secret]';
  }
}
