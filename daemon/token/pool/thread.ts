import { Worker } from 'node:worker_threads';
import type { Millis } from '../../../primitives/brand.ts';
import type { ReplicaLocation } from '../keys/replica.ts';
import { type FromWorker, type PlainError, type Request, type ToWorker, type WorkerData, WorkerFailure } from './messages.ts';

interface Asked {
  readonly kind: string;
  readonly resolve: (value: unknown) => void;
  readonly reject: (failure: WorkerFailure) => void;
}

/** A worker thread, which will hold one session, and what it was asked and has not answered. */
export class TokenThread {
  readonly #worker: Worker;
  readonly #asked = new Map<number, Asked>();
  readonly #onObjects: (made: number) => void;
  #nextId = 0;
  #isIdle: (() => void)[] = [];
  #lastSign: Millis = 0;
  #ended: PlainError | undefined;

  /** `onEnd` is told when it ended without being asked to. */
  constructor(location: ReplicaLocation, onObjects: (made: number) => void, onEnd: (thread: TokenThread, reason: string) => void) {
    this.#onObjects = onObjects;
    this.#worker = new Worker(entry(), { workerData: { location } satisfies WorkerData, resourceLimits: { maxYoungGenerationSizeMb: 2 } });
    this.#worker.on('message', (message: FromWorker) => this.#settle(message));
    let reason = 'it ended';
    this.#worker.on('error', (error) => {
      reason = error.message;
    });
    this.#worker.on('exit', () => {
      this.#ended = ended(reason);
      for (const { reject } of this.#asked.values()) reject(new WorkerFailure(this.#ended));
      this.#asked.clear();
      this.#tellIdle();
      onEnd(this, reason);
    });
  }

  get hasEnded(): boolean {
    return this.#ended !== undefined;
  }

  get underWay(): number {
    return this.#asked.size;
  }

  /** What it was asked and has not answered, in order: for messages. */
  get unanswered(): readonly string[] {
    return Array.from(this.#asked.values(), ({ kind }) => kind);
  }

  /** How long it has been in the module without an answer. */
  get silentFor(): Millis {
    return this.#asked.size === 0 ? 0 : performance.now() - this.#lastSign;
  }

  /** Rejects with a WorkerFailure. */
  ask(request: Request): Promise<unknown> {
    if (this.#ended) return Promise.reject(new WorkerFailure(this.#ended)); // what is posted to it goes nowhere
    const id = this.#nextId++;
    if (this.#asked.size === 0) this.#lastSign = performance.now();
    return new Promise((resolve, reject) => {
      this.#asked.set(id, { kind: request.kind === 'call' ? request.operation : request.kind, resolve, reject });
      // Transferred, so that no copy of the PIN stays on this side.
      const pin = request.kind === 'open' ? request.pin : undefined;
      this.#worker.postMessage({ ...request, id } satisfies ToWorker, pin ? [pin.buffer as ArrayBuffer] : []);
    });
  }

  /** Resolves once nothing is under way. */
  idle(): Promise<void> {
    return this.#asked.size === 0 ? Promise.resolve() : new Promise((resolve) => this.#isIdle.push(resolve));
  }

  #settle(message: FromWorker): void {
    const asked = this.#asked.get(message.id);
    this.#asked.delete(message.id);
    this.#lastSign = performance.now();
    this.#onObjects(message.objectsMade);
    if ('error' in message) asked?.reject(new WorkerFailure(message.error));
    else asked?.resolve(message.value);
    this.#tellIdle();
  }

  #tellIdle(): void {
    if (this.#asked.size > 0) return;
    for (const tell of this.#isIdle.splice(0)) tell();
  }
}

const ended = (reason: string): PlainError => ({
  code: 'TOKEN_UNAVAILABLE',
  message: `The token worker ended: ${reason}`,
  meaning: 'ended',
});

/** Node 20 cannot run TypeScript in a worker: from the sources (tests), the compiled worker under dist/ is started. */
const entry = (): URL =>
  import.meta.url.endsWith('.ts')
    ? new URL('../../../dist/daemon/token/pool/worker.js', import.meta.url)
    : new URL('./worker.js', import.meta.url);
