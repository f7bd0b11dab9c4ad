import type { ComparedStep } from './comparison.ts';
import type { FleetResults } from './fleet-bench.ts';
import type { SessionsResult } from './sessions-bench.ts';
import type { StorageResult } from './storage-bench.ts';
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

export const portRatios = ({ evaluation: { port, portAlone } }: TokenResults): Ratio[] => [
  { id: 'port.rate', name: 'evaluations through the port : bare calls, rate', value: 1 / port.wallRatio, better: 'higher' },
  { id: 'port.rate.alone', name: 'the same, one at a time', value: 1 / portAlone.wallRatio, better: 'higher' },
];

/** Those that have an aim, which is the bound. */
export const landedRatios = (steps: readonly ComparedStep[]): Ratio[] =>
  steps.flatMap(({ id, name, ratio, aim }) =>
    aim === undefined
      ? []
      : [{ id: `landed.${id}`, name: `${name}, CPU : with wrapped keys`, value: ratio, better: 'lower' as const, most: aim }],
  );

/** In calls, of 2 ms each: a second. */
const MOST_HEALING = 500;

export const sessionsRatios = ({ sessions, perSecond, ideal, healing }: SessionsResult): Ratio[] => [
  { id: 'sessions.share', name: `${sessions} sessions, token 2 ms away : ideal, rate`, value: perSecond / ideal, better: 'higher' },
  { id: 'sessions.healing', name: 'the same, healing of a log-out : one call', value: healing, better: 'lower', most: MOST_HEALING },
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

/** Bytes of a record, with three replicas: values in etcd, since its body, and what else serves it, are in the guards; and of etcd's file. */
export const MOST_STORED = { record: 120, file: 450 } as const;

/** No ratios, but the same on every machine. */
export const storageRatios = ({ etcdBytesPerRecord, replicas }: FleetResults): Ratio[] => [
  {
    id: 'etcd.bytes',
    name: `bytes in etcd of a record, n = ${replicas}`,
    value: etcdBytesPerRecord,
    better: 'lower',
    most: MOST_STORED.record,
  },
];

/** Nor these. */
export const diskRatios = ({ etcdFileBytesPerRecord, guardBytesPerRecord, replicas }: StorageResult): Ratio[] => [
  {
    id: 'etcd.file',
    name: `bytes of etcd’s file for a record, n = ${replicas}`,
    value: etcdFileBytesPerRecord,
    better: 'lower',
    most: MOST_STORED.file,
  },
  { id: 'guard.bytes', name: `bytes of a guard’s files for a record, n = ${replicas}`, value: guardBytesPerRecord, better: 'lower' },
];

/** In ms. At every replica: the signature of a vote, an evaluation, a release. */
export function tokenCpuOfRecovery({ operations }: TokenResults, replicas: number): number {
  const cpu = (name: keyof typeof operations) => operations[name].cpu.mean / 1000;
  return replicas * (cpu('sign') + cpu('evaluateInToken') + cpu('releaseInToken'));
}
