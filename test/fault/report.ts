import Table from 'cli-table3';
import type { Violation } from './checker.ts';
import type { Call, HistoryEvent } from './history.ts';
import { recoveryTimes } from './recovery-times.ts';

const AIM = 3000;
const MOST_VIOLATIONS = 20; // told in full; all of them are in the history

/** What a person wants to know of a run. */
export function reportOf(
  events: readonly HistoryEvent[],
  violations: readonly Violation[],
  run: { seed: number; seconds: number },
): string {
  const counts = countsOf(events);
  const lines = [
    `seed ${run.seed}, ${Math.round(run.seconds)} s`,
    '',
    table(['what', 'count'], Object.entries(counts)),
    '',
    table(['fault', 'injected'], [...countBy(events.filter((event) => event.type === 'fault').map(({ kind }) => kind))]),
    '',
    `First success after a fault that came alone, in ms (aim: ${AIM})`,
    table(
      ['fault', 'times', 'p50', 'p95', 'max'],
      recoveryTimes(events).map(({ kind, first }) => [kind, first.length, ...quantiles(first)]),
    ),
    '',
    table(
      ['answers that were no success', 'count'],
      [
        ...countBy(
          events.flatMap((event) => (event.type === 'call' && event.outcome !== 'ok' ? [`${event.method} ${event.outcome}`] : [])),
        ),
      ],
    ),
    '',
    ...violations
      .slice(0, MOST_VIOLATIONS)
      .map(({ kind, rid, text }) => `VIOLATION ${kind}${rid ? ` of ${rid.slice(0, 8)}` : ''}: ${text}`),
    `violations = ${violations.length}`,
  ];
  return `${lines.join('\n')}\n`;
}

export const ATTEMPTS = 'attempts (codes tried and answered, each once)';

/** How much a run had to do. */
export function countsOf(events: readonly HistoryEvent[]) {
  const calls = events.filter((event) => event.type === 'call');
  const entries = events.filter((event) => event.type === 'entry');
  const paid = calls.filter(({ method, outcome }) => method === 'beginRecovery' && outcome === 'ok');
  const points = new Set(paid.map(({ g, point }) => `${g} ${point}`));
  return {
    [ATTEMPTS]: points.size,
    'of them recoveries through the whole SDK': entries.filter(({ outcome, isRight }) => outcome === 'ok' && isRight).length,
    'of them wrong codes through the whole SDK': entries.filter(({ outcome }) => outcome === 'WRONG_CODE').length,
    'of them held, and vetoed or approved': events.filter(({ type }) => type === 'decided').length,
    'records of a guard that was rebuilt': events.reduce((sum, event) => sum + (event.type === 'rebuilt' ? event.records : 0), 0),
    'the same bytes sent again': calls.filter(({ method }) => method === 'beginRecovery').length - points.size,
    'generations enrolled': new Set(
      calls.flatMap(({ method, outcome, g }) => (method === 'finishEnrollment' && outcome === 'ok' ? [g] : [])),
    ).size,
    'begun again, since their tickets were refused': begunAgain(calls),
    records: new Set(calls.map(({ rid }) => rid).filter((rid) => rid !== '')).size,
    'records that etcd lied about': new Set(events.flatMap((event) => (event.type === 'rolled-back' ? [event.rid] : []))).size,
    'evaluations seen at the tokens': events.filter(({ type }) => type === 'evaluated').length,
    'faults injected': events.filter(({ type }) => type === 'fault').length,
  };
}

/** Generations that got no other answer. */
function begunAgain(calls: readonly Call[]): number {
  const enrolments = calls.filter(({ method }) => method === 'finishEnrollment');
  const others = new Set(enrolments.filter(({ outcome }) => outcome !== 'TICKET_REFUSED').map(({ g }) => g));
  return new Set(enrolments.map(({ g }) => g).filter((g) => !others.has(g))).size;
}

function countBy(items: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const item of [...items].sort()) counts.set(item, (counts.get(item) ?? 0) + 1);
  return counts;
}

function quantiles(values: readonly number[]): (number | string)[] {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (fraction: number) => sorted[Math.max(0, Math.ceil(fraction * sorted.length) - 1)] ?? '–';
  return [at(0.5), at(0.95), at(1)];
}

const bare = { head: [], border: [] };

function table(head: string[], rows: (string | number)[][]): string {
  const made = new Table({ head, style: bare });
  made.push(...rows);
  return made.toString();
}
