import { ownCpu } from '../harness/process-usage.ts';
import { type Distribution, distributionOf } from './statistics.ts';

/** Of one synchronous call, in µs. */
export interface Sampled {
  readonly wall: Distribution;
  readonly cpu: Distribution;
}

/** Collects calls of several kinds, which are made in turns so that a drift of the machine meets all of them. */
export class Sampler {
  readonly #wall: number[] = [];
  readonly #cpu: number[] = [];

  sample(work: () => void): void {
    const cpu = ownCpu();
    const wall = performance.now();
    work();
    this.#wall.push((performance.now() - wall) * 1000);
    this.#cpu.push((ownCpu() - cpu) * 1000);
  }

  result(): Sampled {
    return { wall: distributionOf(this.#wall), cpu: distributionOf(this.#cpu) };
  }
}
