import type { Millis } from '../../primitives/brand.ts';
import type { Clock } from '../../primitives/clock.ts';

/** The same work again and again, with a rest after each turn, until stopped. */
export class Rounds {
  readonly #clock: Clock;
  readonly #turn: () => Promise<Millis>;
  protected isStopped = false;
  #wake = () => {};
  #running: Promise<void> = Promise.resolve();

  /** `turn` never throws, and gives the rest until the next. */
  constructor(clock: Clock, turn: () => Promise<Millis>) {
    this.#clock = clock;
    this.#turn = turn;
  }

  start(): void {
    this.#running = this.#run();
  }

  /** Returns once the turn under way is done; a rest is not waited for. */
  async stop(): Promise<void> {
    this.isStopped = true;
    this.#wake();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.isStopped) {
      const woken = new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      const rest = await this.#turn();
      await Promise.race([this.#clock.sleep(rest), woken]);
    }
  }
}
