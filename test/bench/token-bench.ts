import { deriveStored, evaluate } from '../../daemon/token/evaluate.ts';
import { beginEvaluation } from '../../daemon/token/evaluation.ts';
import type { ReplicaLocation } from '../../daemon/token/keys/replica.ts';
import type { TokenIdentity } from '../../daemon/token/port.ts';
import type { Bytes } from '../../primitives/bytes.ts';
import { ownCpu } from './process-usage.ts';
import { RawToken } from './raw-token.ts';
import { type Sampled, Sampler } from './sampling.ts';
import { medianOf } from './statistics.ts';
import { openTokenStage, type TokenStage } from './token-stage.ts';

export interface TokenRounds {
  /** The kinds of work take turns, so that a drift of the machine meets all alike. */
  readonly rounds: number;
  /** Calls of one kind in one turn. */
  readonly calls: number;
  readonly inFlight: number;
}

const kinds = ['raw', 'thread', 'port', 'portAlone', 'arithmetic'] as const;
type Kind = (typeof kinds)[number];

/** One evaluation, in µs: the median over all turns of a turn's mean. */
export interface EvaluationCost {
  readonly wall: number;
  readonly cpu: number;
  /** Against `raw`, the turns of one round with each other; 1 is as fast. */
  readonly wallRatio: number;
}

const operations = ['sign', 'verifyMac', 'evaluate', 'release'] as const;
export type RawOperation = (typeof operations)[number];

export interface TokenResults {
  /** Each operation in the module alone. */
  readonly operations: Readonly<Record<RawOperation, Sampled>>;
  /**
   * An evaluation, MAC check included: the calls into the module alone (`raw`); the whole operation in this thread (`thread`); the
   * same through the port, with several calls in flight (`port`) and with one (`portAlone`); what the host computes for it (`arithmetic`).
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
  /** What the token derives for the request. */
  readonly #xs: readonly Bytes[];
  readonly #samplers: Record<RawOperation, Sampler>;
  readonly #turns: Record<Kind, Cost>[] = [];

  private constructor(stage: TokenStage) {
    this.#stage = stage;
    this.#raw = new RawToken(stage);
    const { evaluate } = stage.requests;
    this.#xs = deriveStored(stage.token, { ...evaluate, points: beginEvaluation(evaluate.publicKey, evaluate.point).points });
    this.#samplers = fromNames(operations, () => new Sampler());
  }

  /** Once per process. */
  static async open(): Promise<TokenBench> {
    return new TokenBench(await openTokenStage());
  }

  get identity(): TokenIdentity {
    return this.#stage.token.identity;
  }

  get location(): ReplicaLocation {
    return this.#stage.location;
  }

  async measure({ rounds, calls, inFlight }: TokenRounds): Promise<void> {
    await this.#turn(calls, inFlight); // warms up
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

  async close(): Promise<void> {
    this.#raw.close();
    await this.#stage.close();
  }

  async #turn(calls: number, inFlight: number): Promise<Record<Kind, Cost>> {
    const { token, port, requests } = this.#stage;
    const { publicKey, point } = requests.evaluate;
    return {
      raw: await timed(calls, 1, () => {
        this.#raw.verifyMac();
        this.#raw.evaluate();
      }),
      thread: await timed(calls, 1, () => evaluate(token, requests.evaluate)),
      port: await timed(calls, inFlight, () => port.evaluate(requests.evaluate)),
      portAlone: await timed(calls, 1, () => port.evaluate(requests.evaluate)),
      arithmetic: await timed(calls, 1, () => beginEvaluation(publicKey, point).finish(this.#xs)),
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
