import type { HistoryEvent } from './history.ts';

/** How long the vault took to serve again after one kind of fault that came alone. Milliseconds. */
export interface RecoveryTimes {
  readonly kind: string;
  /** To the first success of a request that was sent after the fault. */
  readonly first: readonly number[];
}

const RESTART = 4000; // until a replica that died serves again, and the others found it

const serving: ReadonlySet<string> = new Set(['beginRecovery', 'finishRecovery', 'finishEnrollment']);

export function recoveryTimes(events: readonly HistoryEvent[]): RecoveryTimes[] {
  const calls = events.filter((event) => event.type === 'call');
  const successes = calls.filter(({ outcome, method }) => outcome === 'ok' && serving.has(method)).sort((a, b) => a.until - b.until);
  const times = new Map<string, number[]>();
  const deaths = events.flatMap((event) => (event.type === 'fault' && event.kind === 'died-at' ? [event.at] : []));
  for (const fault of events) {
    if (fault.type !== 'fault' || !fault.alone) continue;
    // A replica that a storm left armed died beside it: then two were away, and nobody could serve.
    if (deaths.some((at) => at > fault.at - RESTART && at < fault.until)) continue;
    const first = successes.find(({ at }) => at >= fault.at);
    if (first) times.set(fault.kind, [...(times.get(fault.kind) ?? []), first.until - fault.at]);
  }
  return [...times].map(([kind, first]) => ({ kind, first }));
}
