import type { Millis } from '../../primitives/brand.ts';
import { cpuOf, ownCpu } from '../harness/process-usage.ts';
import { type Distribution, distributionOf } from './statistics.ts';

/** Whose CPU is counted. */
export interface Parties {
  readonly replicas: readonly number[];
  readonly etcd: readonly number[];
}

/** The same operation many times, with a number of them under way at once. CPU in milliseconds per operation, summed over processes. */
export interface LoadResult {
  readonly operations: number;
  readonly atOnce: number;
  readonly latency: Distribution;
  readonly perSecond: number;
  readonly cpu: { readonly replicas: number; readonly etcd: number; readonly client: number };
}

export async function measureLoad(
  parties: Parties,
  { operations, atOnce }: { readonly operations: number; readonly atOnce: number },
  operation: (i: number) => Promise<unknown>,
): Promise<LoadResult> {
  const before = usage(parties);
  const latencies: Millis[] = [];
  let next = 0;
  const lane = async () => {
    while (next < operations) {
      const i = next++;
      const start = performance.now();
      await operation(i);
      latencies.push(performance.now() - start);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
  const after = usage(parties);
  const each = (total: (u: Usage) => number) => (total(after) - total(before)) / operations;
  return {
    operations,
    atOnce,
    latency: distributionOf(latencies),
    perSecond: 1000 / each((u) => u.wall),
    cpu: { replicas: each((u) => u.replicas), etcd: each((u) => u.etcd), client: each((u) => u.client) },
  };
}

interface Usage {
  readonly wall: Millis;
  readonly replicas: Millis;
  readonly etcd: Millis;
  readonly client: Millis;
}

const usage = ({ replicas, etcd }: Parties): Usage => ({
  wall: performance.now(),
  replicas: cpuOf(replicas),
  etcd: cpuOf(etcd),
  client: ownCpu(),
});
