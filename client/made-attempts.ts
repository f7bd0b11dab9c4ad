import { toHex } from '../primitives/bytes.ts';

/** Which attempts this client made, by generation: the others are somebody else's, or the same user's on another device. */
export class MadeAttempts {
  readonly #byGeneration = new Map<string, Set<number>>();

  note(g: Uint8Array, attempt: number): void {
    const key = toHex(g);
    this.#byGeneration.set(key, (this.#byGeneration.get(key) ?? new Set()).add(attempt));
  }

  /** How many of those used were not made here. */
  elsewhere(g: Uint8Array, used: number): number {
    const made = this.#byGeneration.get(toHex(g)) ?? new Set();
    return used - [...made].filter((k) => k <= used).length;
  }
}
