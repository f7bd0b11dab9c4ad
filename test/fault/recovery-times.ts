import type { HistoryEvent } from './history.ts';

/** How long the vault took to serve again after one kind of fault that came alone. Milliseconds. */
export interface RecoveryTimes {
  readonly kind: string;
  /** To the first success of a request that was sent after the fault, of any device. */
  readonly first: readonly number[];
  /** To the last device's first success. */
  readonly everybody: readonly number[];
}

const serving: ReadonlySet<string> = new Set(['beginRecovery', 'finishRecovery', 'finishEnrollment']);

export function recoveryTimes(events: readonly HistoryEvent[]): RecoveryTimes[] {
  const successes = events.filter((event) => event.type === 'call' && event.outcome === 'ok' && serving.has(event.method));
  const calls = successes.filter((event) => event.type === 'call').sort((a, b) => a.until - b.until);
  const devices = new Set(calls.map(({ device }) => device));
  const times = new Map<string, { first: number[]; everybody: number[] }>();
  for (const fault of events) {
    if (fault.type !== 'fault' || !fault.alone) continue;
    const firsts = new Map<string, number>();
    for (const { device, at, until } of calls) if (at >= fault.at && !firsts.has(device)) firsts.set(device, until - fault.at);
    if (firsts.size === 0) continue;
    const known = times.get(fault.kind) ?? { first: [], everybody: [] };
    times.set(fault.kind, known);
    known.first.push(Math.min(...firsts.values()));
    if (firsts.size === devices.size) known.everybody.push(Math.max(...firsts.values()));
  }
  return [...times].map(([kind, { first, everybody }]) => ({ kind, first, everybody }));
}
