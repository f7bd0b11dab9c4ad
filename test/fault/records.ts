import type { Call, Decided, Entry, Final, Healed, HistoryEvent } from './history.ts';

/** One generation of a record, as the history shows it. */
export interface Generation {
  readonly g: string;
  readonly previous: string;
  readonly limit: number;
  /** ms */
  readonly hold: number;
  /** When its enrolment was sent first. */
  sentAt: number;
  /** When enough replicas had signed for it; undefined where no device heard of that. */
  acknowledgedAt: number | undefined;
  /** Points that devices sent. */
  readonly sent: Set<string>;
  /** Answers with receipts. */
  readonly receipts: Call[];
  /** x of the points that tokens evaluated in recoveries, and which replicas' tokens. */
  readonly evaluated: Map<string, Set<number>>;
}

export interface Record {
  readonly rid: string;
  readonly generations: Map<string, Generation>;
  readonly calls: Call[];
  readonly entries: Entry[];
  readonly healed: Healed[];
  readonly decided: Decided[];
  final: Final | undefined;
  isRolledBack: boolean;
}

/** Sorts a history by record and generation. */
export function readHistory(events: readonly HistoryEvent[]): {
  readonly records: ReadonlyMap<string, Record>;
  /** Whose a tweak is. */
  readonly byTweak: ReadonlyMap<string, Generation>;
} {
  const records = new Map<string, Record>();
  const enrolled = new Map<string, Generation>(); // by x of the point of the enrolment
  const recordOf = (rid: string): Record => {
    const known = records.get(rid);
    if (known) return known;
    const fresh = { rid, generations: new Map(), calls: [], entries: [], healed: [], decided: [], final: undefined, isRolledBack: false };
    records.set(rid, fresh);
    return fresh;
  };

  for (const event of events)
    switch (event.type) {
      case 'call': {
        if (event.rid === '') break;
        const record = recordOf(event.rid);
        record.calls.push(event);
        if (event.method === 'finishEnrollment') noteEnrolment(record, event, enrolled);
        break;
      }
      case 'entry':
        recordOf(event.rid).entries.push(event);
        break;
      case 'healed':
        recordOf(event.rid).healed.push(event);
        break;
      case 'decided':
        recordOf(event.rid).decided.push(event);
        break;
      case 'final':
        recordOf(event.rid).final = event;
        break;
      case 'rolled-back':
        recordOf(event.rid).isRolledBack = true;
        break;
    }
  for (const { generations, calls } of records.values()) for (const call of calls) noteGuess(generations, call);
  return { records, byTweak: noteEvaluations(events, enrolled) };
}

function noteEnrolment({ generations }: Record, call: Call, enrolled: Map<string, Generation>): void {
  const { g = '', previous = '', limit = 0, hold = 0, at, until, point = '' } = call;
  const known = generations.get(g);
  const generation: Generation = known ?? {
    ...{ g, previous, limit, hold, sentAt: at, acknowledgedAt: undefined },
    ...{ sent: new Set(), receipts: [], evaluated: new Map() },
  };
  generations.set(g, generation);
  generation.sentAt = Math.min(generation.sentAt, at); // calls are noted as they end
  enrolled.set(xOf(point), generation);
  if (call.outcome === 'ok' && call.acknowledged) generation.acknowledgedAt = Math.min(generation.acknowledgedAt ?? until, until);
}

function noteGuess(generations: ReadonlyMap<string, Generation>, call: Call): void {
  const generation = call.method === 'beginRecovery' && generations.get(call.g ?? '');
  if (!generation) return;
  generation.sent.add(call.point ?? '');
  if (call.outcome === 'ok') generation.receipts.push(call);
}

/**
 * Nobody outside a replica knows a generation's seed, and a tweak shows nothing of it. But holders evaluate the point of the enrolment, which
 * is drawn for it alone: whatever tweak that was under is of that generation, also one of an offer that nobody finished.
 */
function noteEvaluations(events: readonly HistoryEvent[], enrolled: ReadonlyMap<string, Generation>): Map<string, Generation> {
  const evaluations = events.filter((event) => event.type === 'evaluated');
  const byTweak = new Map<string, Generation>();
  for (const { tweak, x } of evaluations) {
    const generation = enrolled.get(x);
    if (generation) byTweak.set(tweak, generation);
  }
  for (const { tweak, x, replica } of evaluations) {
    const generation = byTweak.get(tweak);
    if (!generation || enrolled.get(x) === generation) continue;
    const replicas = generation.evaluated.get(x) ?? new Set();
    generation.evaluated.set(x, replicas.add(replica));
  }
  return byTweak;
}

/** Of a compressed point, both in hexadecimal. */
export const xOf = (point: string): string => point.slice(2);
