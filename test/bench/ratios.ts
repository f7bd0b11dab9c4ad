import type { FleetResults } from './fleet-bench.ts';
import type { SessionsResult } from './sessions-bench.ts';
import type { TokenResults } from './token-bench.ts';

/** One thing against another of the same run: what stays when the machine is another one, or busy. */
export interface Ratio {
  readonly id: string;
  readonly name: string;
  readonly value: number;
  readonly better: 'higher' | 'lower';
  /** A bound that stands whatever was recorded. */
  readonly most?: number;
}

/** Of a process that evaluates only, warmed up. */
export interface MemoryResult {
  readonly evaluations: number;
  /** Over all of them, along the line that fits best. */
  readonly growthMiB: number;
}

export const portRatios = ({ evaluation: { port, arithmetic, raw } }: TokenResults): Ratio[] => [
  { id: 'port.rate', name: 'evaluations through the port : bare calls, rate', value: 1 / port.wallRatio, better: 'higher' },
  {
    id: 'port.arithmetic.share',
    name: 'arithmetic of an evaluation : its bare calls, CPU',
    value: arithmetic.cpu / raw.cpu,
    better: 'lower',
  },
];

export const sessionsRatios = ({ sessions, perSecond, ideal }: SessionsResult): Ratio[] => [
  { id: 'sessions.share', name: `${sessions} sessions, token 2 ms away : ideal, rate`, value: perSecond / ideal, better: 'higher' },
];

export const memoryRatios = ({ evaluations, growthMiB }: MemoryResult): Ratio[] => [
  { id: 'memory.growth', name: `MiB grown over ${evaluations} evaluations`, value: growthMiB, better: 'lower', most: 5 },
];

/** What the replicas take for a recovery, above what they take at rest, against the calls into their tokens alone. */
export const recoveryRatios = (token: TokenResults, { recovery, restingCpu, replicas }: FleetResults): Ratio[] => {
  const { cpu, perSecond } = recovery.together;
  const aboveRest = cpu.replicas - restingCpu / perSecond;
  const value = aboveRest / tokenCpuOfRecovery(token, replicas);
  return [{ id: 'recovery.ratio', name: 'recovery, CPU of the replicas above rest : tokens alone', value, better: 'lower' }];
};

/** In ms. At every replica: two signatures, of a vote and a receipt; an evaluation behind its MAC check; a release. */
export function tokenCpuOfRecovery({ operations }: TokenResults, replicas: number): number {
  const cpu = (name: keyof typeof operations) => operations[name].cpu.mean / 1000;
  return replicas * (2 * cpu('sign') + cpu('verifyMac') + cpu('evaluate') + cpu('release'));
}
