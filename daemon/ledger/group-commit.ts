/**
 * Writes that arrive while one is under way go together in the next: one flush to disk serves them all, and their order is theirs
 * alone to see, since none is acknowledged before all are durable.
 */
export class GroupCommit<Operation> {
  readonly #commit: (operations: readonly Operation[]) => Promise<void>;
  #waiting: { operations: readonly Operation[]; resolve: () => void; reject: (error: unknown) => void }[] = [];
  #running: Promise<void> | undefined;

  constructor(commit: (operations: readonly Operation[]) => Promise<void>) {
    this.#commit = commit;
  }

  /** Durable when it resolves. */
  write(operations: readonly Operation[]): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ operations, resolve, reject });
      this.#running ??= this.#run();
    });
  }

  /** Resolves when nothing is under way. */
  async idle(): Promise<void> {
    await this.#running;
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) {
      const group = this.#waiting;
      this.#waiting = [];
      try {
        await this.#commit(group.flatMap(({ operations }) => operations));
        for (const { resolve } of group) resolve();
      } catch (error) {
        for (const { reject } of group) reject(error);
      }
    }
    this.#running = undefined;
  }
}
