import type { Millis } from '../../../primitives/brand.ts';
import { VaultError } from '../../../primitives/errors.ts';
import type { OperationName } from '../operations.ts';

/** A call that was accepted and is not answered yet. */
export interface QueuedCall {
  readonly operation: OperationName;
  readonly argument: unknown;
  /** It met a token that was gone, and waits for its second and last turn. */
  hadItsTurn: boolean;
  /** Its caller has an answer, or a refusal. */
  isSettled: boolean;
  resolve(value: unknown): void;
  reject(error: VaultError): void;
}

/**
 * Calls that wait for a worker. What does not fit is told BUSY at once, and what does not get its turn by its deadline as well: load
 * that the token cannot carry goes back to who sends it, and takes no memory here.
 */
export class CallQueue {
  readonly #limit: number;
  readonly #patience: Millis;
  readonly #waiting: QueuedCall[] = [];

  constructor(limit: number, patience: Millis) {
    this.#limit = limit;
    this.#patience = patience;
  }

  get length(): number {
    return this.#waiting.length;
  }

  /** Adds to the `underWay` calls that wait no more. An urgent one is the next to go, and always fits. */
  add(operation: OperationName, argument: unknown, underWay: number, isUrgent: boolean): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (!isUrgent && this.#waiting.length + underWay >= this.#limit)
        return reject(new VaultError('BUSY', `The token has ${this.#limit} calls under way.`));
      const timer = setTimeout(() => this.#giveUp(call), this.#patience);
      const settle = () => {
        call.isSettled = true;
        clearTimeout(timer);
      };
      const call: QueuedCall = {
        operation,
        argument,
        hadItsTurn: false,
        isSettled: false,
        resolve: (value) => {
          settle();
          resolve(value);
        },
        reject: (error) => {
          settle();
          reject(error);
        },
      };
      if (isUrgent) this.#waiting.unshift(call);
      else this.#waiting.push(call);
    });
  }

  next(): QueuedCall | undefined {
    return this.#waiting.shift();
  }

  putBack(call: QueuedCall): void {
    if (!call.isSettled) this.#waiting.unshift(call);
  }

  refuseAll(error: () => VaultError): void {
    for (const call of this.#waiting.splice(0)) call.reject(error());
  }

  /** One that a worker has keeps its place there until it is answered: a stuck token must fill the queue, not empty it. */
  #giveUp(call: QueuedCall): void {
    const index = this.#waiting.indexOf(call);
    if (index >= 0) this.#waiting.splice(index, 1);
    call.reject(
      index >= 0 && !call.hadItsTurn
        ? new VaultError('BUSY', `The call did not get its turn in ${this.#patience} ms.`)
        : new VaultError('TOKEN_UNAVAILABLE', `The token did not answer in ${this.#patience} ms.`),
    );
  }
}
