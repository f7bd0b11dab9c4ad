import { vi } from 'vitest';
import type { Millis } from '../../primitives/brand.ts';

/** The monotonic clock of this process, `performance.now`, in the hands of a test: nothing waits for time to pass, and none passes unasked. */
export class HeldClock {
  readonly #real = performance.now.bind(performance);
  #ahead: Millis = 0;
  #heldAt: Millis | undefined;

  constructor() {
    vi.spyOn(performance, 'now').mockImplementation(() => this.#heldAt ?? this.#real() + this.#ahead);
  }

  hold(): void {
    this.#heldAt = performance.now();
  }

  letGo(): void {
    if (this.#heldAt !== undefined) this.#ahead = this.#heldAt - this.#real();
    this.#heldAt = undefined;
  }

  skip(duration: Millis): void {
    if (this.#heldAt === undefined) this.#ahead += duration;
    else this.#heldAt += duration;
  }
}
