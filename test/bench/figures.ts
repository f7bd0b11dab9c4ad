import type { ComparedStep } from './comparison.ts';
import type { FleetResults } from './fleet-bench.ts';
import type { LoadResult } from './load.ts';
import { type MemoryResult, MOST_STORED, portRatios, recoveryRatios, sessionsRatios, tokenCpuOfRecovery } from './ratios.ts';
import type { SessionsResult } from './sessions-bench.ts';
import type { StorageResult } from './storage-bench.ts';
import type { TokenResults } from './token-bench.ts';

export interface Figure {
  readonly id: string;
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** At most this. */
  readonly aim?: number;
}

export interface Measurements {
  readonly token: TokenResults;
  readonly fleet: FleetResults;
  readonly sessions: SessionsResult;
  readonly memory: MemoryResult;
  readonly storage: StorageResult;
  readonly landed: readonly ComparedStep[];
}

/** Every figure that is shown, out of what was measured. docs/BENCHMARKS.md says how each is defined. */
export function figuresOf(all: Measurements): Figure[] {
  const { token, fleet, sessions, memory, storage, landed } = all;
  return [
    ...tokenFigures(token),
    ...landed.flatMap(landedFigures),
    ...sessionsFigures(sessions),
    ...memoryFigures(memory),
    ...fleetFigures(fleet),
    ...storageFigures(storage),
    ...ratioFigures(all),
  ];
}

function sessionsFigures({ sessions, callsEach, perSecond, ideal }: SessionsResult): Figure[] {
  const name = `${sessions} sessions, 2 ms for each call of a token, ${callsEach} calls for a MAC`;
  return [
    { id: 'sessions.rate', name: `${name}: MACs`, value: perSecond, unit: '/s' },
    percent('sessions.short', `${name}: short of ${ideal}/s by`, 1 - perSecond / ideal, 10),
  ];
}

const memoryFigures = ({ evaluations, growthMiB }: MemoryResult): Figure[] => [
  { id: 'memory.growth', name: `resident memory, growth over ${evaluations} evaluations`, value: growthMiB, unit: 'MiB', aim: 5 },
];

function tokenFigures({ operations, evaluation }: TokenResults): Figure[] {
  const names = {
    evaluateInToken: 'token: evaluation (MAC, tweak, derivation, receipt)',
    sign: 'token: signature of a vote',
    releaseInToken: 'token: release (MAC, proof, tweak, derivation, signature)',
  } as const;
  const raw = (Object.keys(names) as (keyof typeof names)[]).flatMap((name) => [
    microseconds(`token.${name}.cpu`, `${names[name]}, CPU`, operations[name].cpu.median),
    microseconds(`token.${name}.p50`, `${names[name]}, p50`, operations[name].wall.median),
    microseconds(`token.${name}.p99`, `${names[name]}, p99`, operations[name].wall.p99),
  ]);
  const { raw: bare, port, portAlone, thread } = evaluation;
  return [
    ...raw,
    microseconds('port.bare', 'evaluation: bare calls, and what the host computes for them', bare.wall),
    // 0.85 of the rate of the bare calls
    percent('port.throughput', 'port: overhead, many calls in flight', port.wallRatio - 1, 17.6),
    percent('port.latency', 'port: overhead, one call at a time', portAlone.wallRatio - 1, 17.6),
    percent('thread.overhead', 'the daemon’s code in one thread, without the port: overhead', thread.wallRatio - 1),
  ];
}

/** At one replica. */
const landedFigures = ({ id, name, ratio, aim, landed, now }: ComparedStep): Figure[] => [
  { id: `landed.${id}`, name: `${name}: CPU, against wrapped keys`, value: ratio, unit: '×', ...(aim === undefined ? {} : { aim }) },
  { id: `landed.${id}.calls`, name: `${name}: calls into the module (${landed.calls} with wrapped keys)`, value: now.calls, unit: '' },
];

function fleetFigures(fleet: FleetResults): Figure[] {
  const { enrolment, recovery, recoveryAndRenewal } = fleet;
  return [
    ...loadFigures('enrolment.alone', 'enrolment, one at a time', enrolment.alone),
    ...loadFigures('enrolment.together', `enrolment, ${enrolment.together.atOnce} at once`, enrolment.together),
    ...loadFigures('recovery.alone', 'recovery, one at a time', recovery.alone),
    ...loadFigures('recovery.together', `recovery, ${recovery.together.atOnce} at once`, recovery.together),
    ...loadFigures('renewal.alone', 'recovery and re-enrolment, one at a time', recoveryAndRenewal),
    { id: 'rest.cpu', name: 'replicas at rest, CPU of all of them', value: fleet.restingCpu, unit: 'ms/s' },
    { id: 'rest.memory', name: 'replica at rest, resident', value: fleet.residentMiB.started, unit: 'MiB', aim: 200 },
    { id: 'load.memory', name: 'replica after the load, resident', value: fleet.residentMiB.afterLoad, unit: 'MiB', aim: 200 },
    {
      id: 'etcd.bytes',
      name: `etcd, values of one record, n = ${fleet.replicas}`,
      value: fleet.etcdBytesPerRecord,
      unit: 'B',
      aim: MOST_STORED.record,
    },
    milliseconds('client.stretching', 'client: Argon2id, not part of the figures above', fleet.stretching),
  ];
}

function storageFigures({ records, replicas, etcdFileBytesPerRecord, guardBytesPerRecord }: StorageResult): Figure[] {
  const name = `of one of ${records} records, n = ${replicas}`;
  return [
    { id: 'etcd.file', name: `etcd, file, ${name}`, value: etcdFileBytesPerRecord, unit: 'B', aim: MOST_STORED.file },
    { id: 'guard.bytes', name: `guard, files, ${name}`, value: guardBytesPerRecord, unit: 'B' },
  ];
}

function loadFigures(id: string, name: string, load: LoadResult): Figure[] {
  return [
    milliseconds(`${id}.p50`, `${name}, p50`, load.latency.median),
    milliseconds(`${id}.p99`, `${name}, p99`, load.latency.p99),
    { id: `${id}.rate`, name: `${name}, throughput`, value: load.perSecond, unit: '/s' },
    milliseconds(`${id}.cpu.replicas`, `${name}, CPU of the replicas`, load.cpu.replicas),
    milliseconds(`${id}.cpu.etcd`, `${name}, CPU of etcd`, load.cpu.etcd),
    milliseconds(`${id}.cpu.client`, `${name}, CPU of device and frontend`, load.cpu.client),
  ];
}

const ratioFigures = ({ token, fleet, sessions }: Measurements): Figure[] => [
  ...[...portRatios(token), ...sessionsRatios(sessions)].map(({ id, name, value }) => ({ id, name, value, unit: '×' })),
  milliseconds('recovery.token', 'recovery, CPU of the calls into the tokens alone', tokenCpuOfRecovery(token, fleet.replicas)),
  ...recoveryRatios(token, fleet).map(({ id, name, value }) => ({ id, name, value, unit: '×' })),
];

const microseconds = (id: string, name: string, value: number): Figure => ({ id, name, value, unit: 'µs' });
const milliseconds = (id: string, name: string, value: number): Figure => ({ id, name, value, unit: 'ms' });
const percent = (id: string, name: string, fraction: number, aim?: number): Figure => ({
  ...{ id, name, value: fraction * 100, unit: '%' },
  ...(aim === undefined ? {} : { aim }),
});

export const isMet = ({ value, aim }: Figure): boolean | undefined => (aim === undefined ? undefined : value <= aim);
