import type { Call, Entry, Final, Healed, HistoryEvent } from './history.ts';

/** One generation of a record, as the history shows it. */
export interface Generation {
  readonly g: string;
  readonly previous: string;
  readonly limit: number;
  /** When its enrolment was sent first. */
  sentAt: number;
  /** When t replicas had signed for it; undefined where no device heard of that. */
  acknowledgedAt: number | undefined;
  /** Points that devices sent. */
  readonly sent: Set<string>;
  /** Answers with receipts. */
  readonly receipts: Call[];
  /** Points that tokens evaluated in recoveries, and which replicas' tokens. */
  readonly evaluated: Map<string, Set<number>>;
}

export interface Record {
  readonly rid: string;
  readonly generations: Map<string, Generation>;
  readonly calls: Call[];
  readonly entries: Entry[];
  readonly healed: Healed[];
  final: Final | undefined;
  isRolledBack: boolean;
}

const THRESHOLD = 2; // of three replicas

/** Sorts a history by record and generation. */
export function readHistory(events: readonly HistoryEvent[]): {
  readonly records: ReadonlyMap<string, Record>;
  /** Whose a wrapped key is. */
  readonly byKey: ReadonlyMap<string, Generation>;
} {
  const records = new Map<string, Record>();
  const byKey = new Map<string, Generation>();
  const enrolled = new Map<Generation, string>(); // the point of the enrolment, which holders evaluate to check what they store
  const recordOf = (rid: string): Record => {
    const known = records.get(rid);
    if (known) return known;
    const fresh = { rid, generations: new Map(), calls: [], entries: [], healed: [], final: undefined, isRolledBack: false };
    records.set(rid, fresh);
    return fresh;
  };

  for (const event of events)
    switch (event.type) {
      case 'call': {
        if (event.rid === '') break;
        const record = recordOf(event.rid);
        record.calls.push(event);
        if (event.method === 'finishEnrollment') noteEnrolment(record, event, byKey, enrolled);
        break;
      }
      case 'entry':
        recordOf(event.rid).entries.push(event);
        break;
      case 'healed':
        recordOf(event.rid).healed.push(event);
        break;
      case 'final':
        recordOf(event.rid).final = event;
        break;
      case 'rolled-back':
        recordOf(event.rid).isRolledBack = true;
        break;
    }
  for (const { generations, calls } of records.values()) for (const call of calls) noteGuess(generations, call);
  noteEvaluations(events, byKey, enrolled);
  return { records, byKey };
}

function noteEnrolment({ generations }: Record, call: Call, byKey: Map<string, Generation>, enrolled: Map<Generation, string>): void {
  const { g = '', previous = '', limit = 0, at, until, keys = [], point = '' } = call;
  const known = generations.get(g);
  const generation: Generation = known ?? {
    ...{ g, previous, limit, sentAt: at, acknowledgedAt: undefined },
    ...{ sent: new Set(), receipts: [], evaluated: new Map() },
  };
  generations.set(g, generation);
  generation.sentAt = Math.min(generation.sentAt, at); // calls are noted as they end
  enrolled.set(generation, point);
  for (const key of keys) byKey.set(key, generation);
  if (call.outcome === 'ok' && (call.enrolled?.length ?? 0) >= THRESHOLD)
    generation.acknowledgedAt = Math.min(generation.acknowledgedAt ?? until, until);
}

function noteGuess(generations: ReadonlyMap<string, Generation>, call: Call): void {
  const generation = call.method === 'beginRecovery' && generations.get(call.g ?? '');
  if (!generation) return;
  generation.sent.add(call.point ?? '');
  if (call.outcome === 'ok') generation.receipts.push(call);
}

/** The token evaluates P by P and P + G: of the points of one key, those that are another one's successor are no guesses. */
function noteEvaluations(
  events: readonly HistoryEvent[],
  byKey: ReadonlyMap<string, Generation>,
  enrolled: ReadonlyMap<Generation, string>,
): void {
  const evaluations = events.filter((event) => event.type === 'evaluated');
  const successors = new Set(evaluations.map(({ key, next }) => `${key} ${next}`));
  for (const { key, point, replica } of evaluations) {
    const generation = byKey.get(key);
    if (!generation || successors.has(`${key} ${point}`) || enrolled.get(generation) === point) continue;
    const replicas = generation.evaluated.get(point) ?? new Set();
    generation.evaluated.set(point, replicas.add(replica));
  }
}
