/** One run at a time. Whoever asks while one is under way, which may not see what they did before, shares the next. */
export class SharedRuns {
  readonly #run: () => Promise<void>;
  #current: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  constructor(run: () => Promise<void>) {
    this.#run = run;
  }

  /** Resolves after a run that began after this call; rejects with its reason. */
  run(): Promise<void> {
    if (!this.#current && !this.#next) return this.#begin();
    this.#next ??= this.#afterCurrent();
    return this.#next;
  }

  /** Resolves when nothing is under way. Never rejects. */
  async idle(): Promise<void> {
    while (this.#current || this.#next) await (this.#next ?? this.#current)?.catch(() => {});
  }

  #begin(): Promise<void> {
    this.#current = this.#run().finally(() => {
      this.#current = undefined;
    });
    return this.#current;
  }

  async #afterCurrent(): Promise<void> {
    await this.#current?.catch(() => {}); // told to those who asked for it
    this.#next = undefined;
    return this.#begin();
  }
}
