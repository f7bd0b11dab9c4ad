import { evaluate } from '../../daemon/token/steps.ts';
import { ownCpu } from '../harness/process-usage.ts';
import { RawToken } from './raw-token.ts';
import { type Sampled, Sampler } from './sampling.ts';
import { medianOf } from './statistics.ts';
import type { TokenStage } from './token-stage.ts';

export interface TokenRounds {
  /** Calls of each kind before anything is measured: V8 compiles for thousands of them, and replicas run for months. */
  readonly warmUp: number;
  /** The kinds of work take turns, so that a drift of the machine meets all alike. */
  readonly rounds: number;
  /** Calls of one kind in one turn. */
  readonly calls: number;
  readonly inFlight: number;
}

const kinds = ['raw', 'thread', 'port', 'portAlone'] as const;
type Kind = (typeof kinds)[number];

/** One evaluation, in µs: the median over all turns of a turn's mean. */
export interface EvaluationCost {
  readonly wall: number;
  readonly cpu: number;
  /** Against `raw`, the turns of one round with each other; 1 is as fast. */
  readonly wallRatio: number;
}

const operations = ['sign', 'evaluateInToken', 'releaseInToken'] as const;
type RawOperation = (typeof operations)[number];

export interface TokenResults {
  /** Each operation in the module alone. */
  readonly operations: Readonly<Record<RawOperation, Sampled>>;
  /**
   * An evaluation from MAC to receipt: the calls into the module and what the host computes for them (`raw`); the daemon's code for it in this
   * thread (`thread`); the same through the port, with several calls in flight (`port`) and with one (`portAlone`).
   */
  readonly evaluation: Readonly<Record<Kind, EvaluationCost>>;
}

interface Cost {
  readonly wall: number;
  readonly cpu: number;
}

/** Measures in portions, so that they can lie before and after what the token is compared with. */
export class TokenBench {
  readonly #stage: TokenStage;
  readonly #raw: RawToken;
  readonly #samplers: Record<RawOperation, Sampler>;
  readonly #turns: Record<Kind, Cost>[] = [];

  constructor(stage: TokenStage) {
    this.#stage = stage;
    this.#raw = new RawToken(stage);
    this.#samplers = fromNames(operations, () => new Sampler());
  }

  async measure({ warmUp, rounds, calls, inFlight }: TokenRounds): Promise<void> {
    await this.#turn(warmUp, inFlight);
    for (let round = 0; round < rounds; round++) {
      this.#turns.push(await this.#turn(calls, inFlight));
      for (const name of operations) for (let call = 0; call < calls; call++) this.#samplers[name].sample(() => this.#raw[name]());
    }
  }

  /** What was measured of evaluations is forgotten. */
  restart(): void {
    this.#turns.length = 0;
  }

  results(): TokenResults {
    const turns = this.#turns;
    return {
      operations: fromNames(operations, (name) => this.#samplers[name].result()),
      evaluation: fromNames(kinds, (kind) => ({
        wall: medianOf(turns.map((turn) => turn[kind].wall)),
        cpu: medianOf(turns.map((turn) => turn[kind].cpu)),
        wallRatio: medianOf(turns.map((turn) => turn[kind].wall / turn.raw.wall)),
      })),
    };
  }

  close(): void {
    this.#raw.close();
  }

  async #turn(calls: number, inFlight: number): Promise<Record<Kind, Cost>> {
    const { token, port, requests } = this.#stage;
    return {
      raw: await timed(calls, 1, () => this.#raw.evaluate()),
      thread: await timed(calls, 1, () => evaluate(token, requests.evaluate)),
      port: await timed(calls, inFlight, () => port.evaluate(requests.evaluate)),
      portAlone: await timed(calls, 1, () => port.evaluate(requests.evaluate)),
    };
  }
}

/** µs per call. */
async function timed(calls: number, inFlight: number, call: () => unknown): Promise<Cost> {
  let left = calls;
  const lane = async () => {
    while (left-- > 0) await call();
  };
  const cpu = ownCpu();
  const wall = performance.now();
  await Promise.all(Array.from({ length: inFlight }, lane));
  return { wall: ((performance.now() - wall) * 1000) / calls, cpu: ((ownCpu() - cpu) * 1000) / calls };
}

const fromNames = <Name extends string, T>(names: readonly Name[], make: (name: Name) => T): Record<Name, T> =>
  Object.fromEntries(names.map((name) => [name, make(name)])) as Record<Name, T>;
