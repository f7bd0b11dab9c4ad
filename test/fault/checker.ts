import type { ErrorCode } from '../../primitives/errors.ts';
import type { Call, Exited, FaultEvent, HistoryEvent, Outcome } from './history.ts';
import { hashOfPoint } from './point-hash.ts';
import { type Generation, type Record, readHistory, xOf } from './records.ts';

/** What the history shows that must not be. The promises P1 to P8 are those of docs/PROTOCOL.md. */
export type ViolationKind =
  | 'limit-at-tokens' // P2, P3: more points evaluated than the limit allows
  | 'limit-in-receipts' // P2
  | 'unasked-at-tokens' // a token was used on a point that no device sent for that record
  | 'unseen-at-tokens' // a receipt for what its token did not do: then the history itself is not to be believed
  | 'forged-receipt'
  | 'two-points' // one attempt stands for two points
  | 'double-charge' // P5: one point is two attempts
  | 'lost-attempt' // an attempt that was answered is not in etcd’s order
  | 'spent-for-nothing' // exhausted, though fewer points were sent than the limit
  | 'lost-generation' // P6: an acknowledged enrolment is not there
  | 'stored-and-denied' // it is there, though every answer was that its tickets are worth nothing: then the SDK begins again
  | 'extra-generation' // P5: the same bytes made a second one
  | 'old-code' // a generation that was replaced still answers
  | 'released-early' // before the hold was over, and without the owner's word
  | 'released-after-veto'
  | 'wrong-key'
  | 'right-code-refused'
  | 'wrong-code-accepted'
  | 'forbidden-error'
  | 'not-healed' // P4: it does not work although nothing is broken any more
  | 'crashed' // a replica ended without a reason
  | 'guard-lost'; // a replica that did nothing wrong must not serve any more

export interface Violation {
  readonly kind: ViolationKind;
  readonly rid?: string;
  readonly text: string;
}

/** Holds a history against the promises. Pure. */
export function check(events: readonly HistoryEvent[]): Violation[] {
  const { records, byTweak } = readHistory(events);
  const violations: Violation[] = [];
  const calls = events.filter((event) => event.type === 'call' && event.method === 'beginRecovery') as readonly Call[];
  const guesses = new Set(calls.map(({ point = '' }) => xOf(point)));
  // What is released, and what a token tests itself on, is never a device's point.
  for (const event of events)
    if (event.type === 'evaluated' && !byTweak.has(event.tweak) && guesses.has(event.x))
      violations.push({
        kind: 'unasked-at-tokens',
        text: `replica ${event.replica} used a tweak that nobody enrolled on a device’s point`,
      });
    else if (event.type === 'exited') violations.push(...checkExit(event));
  const clocks = events.filter((event) => event.type === 'fault' && event.kind === 'clock') as readonly FaultEvent[];
  for (const record of records.values()) violations.push(...checkRecord(record), ...checkHolds(record, clocks));
  return violations;
}

/** A daemon ends only with a reason that it states, and never for one that an operator must mend. */
function checkExit({ replica, why }: Exited): Violation[] {
  if (/bkvd: GUARD_MISMATCH/.test(why)) return [{ kind: 'guard-lost', text: `replica ${replica}: ${why}` }];
  return /^bkvd: [A-Z_]+: /m.test(why) ? [] : [{ kind: 'crashed', text: `replica ${replica}:\n${why}` }];
}

function* checkRecord(record: Record): Generator<Violation> {
  const { rid } = record;
  const say = (kind: ViolationKind, text: string): Violation => ({ kind, rid, text });
  for (const generation of record.generations.values()) {
    yield* checkTokens(generation, say);
    yield* checkReceipts(generation, say);
  }
  for (const call of record.calls) yield* checkCall(record, call, say);
  yield* checkEntries(record, say);
  yield* checkReplaced(record, say);
  if (record.isRolledBack) return; // etcd lied: what depends on it is off, what is above is not
  yield* checkRegister(record, say);
  yield* checkLineage(record, say);
  yield* checkHealed(record, say);
}

/**
 * Nothing is released before t holders’ clocks say so, and nothing once enough keep to a veto: whatever etcd says. One clock that is off moves one holder
 * alone; where two were, nothing is said.
 */
function* checkHolds({ rid, entries, calls, decided, generations }: Record, clocks: readonly FaultEvent[]): Generator<Violation> {
  for (const { outcome, point, at, until, device } of entries) {
    if (outcome !== 'ok' || point === undefined) continue;
    const h = hashOfPoint(point);
    const said = decided.filter((each) => each.h === h);
    const veto = said.find(({ word, isFinal, until: final }) => word === 'veto' && isFinal && final <= at);
    if (veto) yield { kind: 'released-after-veto', rid, text: `${device} at ${at} got the key by ${short(point)}, vetoed at ${veto.at}` };
    const proofs = calls.filter((call) => call.method === 'finishRecovery' && call.point === point);
    const hold = generations.get(proofs[0]?.g ?? '')?.hold ?? 0;
    const proved = Math.min(...proofs.map((call) => call.at));
    if (until - proved >= hold - MEASURED || said.some(({ word, at: begun }) => word === 'approve' && begun <= until)) continue;
    const off = new Set(
      clocks.filter((clock) => clock.at <= until && clock.until >= proved - MEASURED).map(({ what }) => what.split(' ')[0]),
    );
    if (off.size < 2)
      yield { kind: 'released-early', rid, text: `${device} got the key at ${until}, ${until - proved} ms after the proof, of ${hold}` };
  }
}

const MEASURED = 1100; // clocks that are put right again are so within a second

type Say = (kind: ViolationKind, text: string) => Violation;

/** P2 where it counts. */
function* checkTokens({ g, limit, evaluated, sent, receipts }: Generation, say: Say): Generator<Violation> {
  if (evaluated.size > limit) yield say('limit-at-tokens', `${evaluated.size} points were evaluated under ${short(g)}, of ${limit}`);
  const asked = new Set([...sent].map(xOf));
  for (const [x, replicas] of evaluated)
    if (!asked.has(x)) yield say('unasked-at-tokens', `replicas ${[...replicas]} evaluated ${short(x)} for ${short(g)}; nobody sent it`);
  for (const { point = '', receipts: indices = [] } of receipts)
    for (const index of indices)
      if (!evaluated.get(xOf(point))?.has(index))
        yield say('unseen-at-tokens', `replica ${index} has a receipt for ${short(point)}, and its token did nothing`);
}

function* checkReceipts({ g, limit, receipts }: Generation, say: Say): Generator<Violation> {
  const byAttempt = new Map<number, string>();
  const byPoint = new Map<string, number>();
  for (const { point = '', attempt = 0, forged } of receipts) {
    if (forged) yield say('forged-receipt', `of replicas ${forged} for attempt ${attempt} of ${short(g)}`);
    if (attempt < 1 || attempt > limit) yield say('limit-in-receipts', `attempt ${attempt} of ${limit} under ${short(g)}`);
    const other = byAttempt.get(attempt) ?? point;
    if (other !== point) yield say('two-points', `attempt ${attempt} of ${short(g)} was ${short(other)} and ${short(point)}`);
    const before = byPoint.get(point) ?? attempt;
    if (before !== attempt) yield say('double-charge', `${short(point)} was attempt ${before} and ${attempt} of ${short(g)}`);
    byAttempt.set(attempt, point);
    byPoint.set(point, attempt);
  }
  if (byPoint.size > limit) yield say('limit-in-receipts', `${byPoint.size} points have receipts under ${short(g)}, of ${limit}`);
}

const allowed: ReadonlySet<Outcome> = new Set<Outcome>([
  ...(['ok', 'LOST', 'OUTCOME_UNKNOWN', 'NOT_ENOUGH_REPLICAS', 'STORE_UNAVAILABLE', 'BUSY', 'TOKEN_UNAVAILABLE', 'GUARD_FAILING'] as const),
  ...(['COOLING_DOWN', 'GENERATION_CONFLICT', 'TICKET_EXPIRED', 'GRANT_EXPIRED'] as const),
]);

function* checkCall(record: Record, call: Call, say: Say): Generator<Violation> {
  const { outcome, g, method, at, until, message = '' } = call;
  const generation = g === undefined ? undefined : record.generations.get(g);
  const told = `${method} at ${at} by ${call.device}: ${outcome} ${message}`;
  if (allowed.has(outcome)) return;
  if (record.isRolledBack && rollBackMayCause.has(outcome)) return;
  switch (outcome) {
    case 'VETOED':
      if (!record.decided.some(({ word, at: begun }) => word === 'veto' && begun <= until)) yield say('forbidden-error', told);
      return;
    case 'EXHAUSTED': {
      const sent = record.calls.filter((c) => c.method === 'beginRecovery' && c.g === g && c.at <= until);
      const points = new Set(sent.map(({ point }) => point));
      if (generation && points.size < generation.limit) yield say('spent-for-nothing', `${told}; ${points.size} points were sent`);
      return;
    }
    case 'RECORD_UNKNOWN':
      if (acknowledgedBefore(record, at).length > 0) yield say('lost-generation', told);
      return;
    case 'TICKET_REFUSED':
    case 'GENERATION_UNKNOWN': {
      // In order where another one may have come after it, or it may never have been committed.
      if (generation?.acknowledgedAt === undefined || generation.acknowledgedAt > at) return;
      if (!mayBeReplaced(record, generation, until)) yield say('lost-generation', told);
      return;
    }
    default:
      yield say('forbidden-error', told);
  }
}

/**
 * By what replaces it. Or, where etcd went back to one before it, by what its owner enrolled from there: then it is gone, and its tickets must
 * not serve again (docs/adr/0011). Without any such enrolment a lie of etcd's takes no generation away.
 */
function mayBeReplaced(record: Record, generation: Generation, until: number): boolean {
  const lineage = [generation, ...ancestors(record, generation)];
  const others = [...record.generations.values()].filter(({ sentAt }) => sentAt <= until);
  return others.some((other) => other.previous === generation.g || (record.isRolledBack && !lineage.includes(other)));
}

const rollBackMayCause: ReadonlySet<Outcome> = new Set<ErrorCode>([
  ...(['ATTEMPT_CONFLICT', 'EXHAUSTED', 'GENERATION_UNKNOWN', 'RECORD_UNKNOWN', 'ATTEMPT_UNKNOWN', 'OWNER_REFUSED'] as const),
]);

function* checkEntries({ entries, isRolledBack }: Record, say: Say): Generator<Violation> {
  for (const { isRight, outcome, isOurKey, device, at } of entries) {
    const who = `${device} at ${at}`;
    if (outcome === 'ok' && isOurKey === false) yield say('wrong-key', `${who} got another key than was enrolled`);
    if (outcome === 'ok' && isRight === false) yield say('wrong-code-accepted', `${who} got a key for a wrong code`);
    if (outcome === 'WRONG_CODE' && isRight && !isRolledBack)
      yield say('right-code-refused', `${who} was told that the right code is wrong`);
    if (outcome === 'INTERNAL' || outcome === 'REPLY_UNTRUSTED' || outcome === 'FLEET_UNTRUSTED')
      yield say('forbidden-error', `${who}: ${outcome}`);
  }
}

/** Once a generation is acknowledged, those before it answer no more: whatever etcd says. */
function* checkReplaced(record: Record, say: Say): Generator<Violation> {
  for (const generation of record.generations.values()) {
    const { acknowledgedAt } = generation;
    if (acknowledgedAt === undefined) continue;
    for (const old of ancestors(record, generation))
      for (const { at, point = '' } of old.receipts)
        if (at > acknowledgedAt)
          yield say(
            'old-code',
            `${short(old.g)} evaluated ${short(point)} at ${at}; ${short(generation.g)} replaced it at ${acknowledgedAt}`,
          );
  }
}

/** etcd's order against what was answered. */
function* checkRegister({ final, generations }: Record, say: Say): Generator<Violation> {
  const generation = final && generations.get(final.g);
  if (!final || !generation) return;
  const { sent, receipts, evaluated, g } = generation;
  const hashes = new Map([...sent].map((point) => [hashOfPoint(point), point]));
  if (new Set(final.points).size < final.points.length)
    yield say('double-charge', `etcd counts ${final.points.length} attempts of ${short(g)} for ${new Set(final.points).size} points`);
  for (const hash of final.points) if (!hashes.has(hash)) yield say('double-charge', `etcd counts a point of ${short(g)} that nobody sent`);
  const order = final.points.map((hash) => hashes.get(hash));
  for (const { point = '', attempt = 0 } of receipts)
    if (order[attempt - 1] !== point)
      yield say('lost-attempt', `${short(point)} was answered as attempt ${attempt} of ${short(g)}; etcd has another`);
  const counted = new Set(order.map((point = '') => xOf(point)));
  for (const x of evaluated.keys())
    if (!counted.has(x)) yield say('lost-attempt', `${short(x)} was evaluated under ${short(g)}, and etcd does not count it`);
}

/** P6, and the half of P5 that is about generations. */
function* checkLineage(record: Record, say: Say): Generator<Violation> {
  const { final, generations } = record;
  if (!final) return;
  const present = generations.get(final.g);
  const lineage = present ? [present, ...ancestors(record, present)] : [];
  for (const generation of generations.values())
    if (generation.acknowledgedAt !== undefined && !lineage.includes(generation))
      yield say(
        'lost-generation',
        `${short(generation.g)} was acknowledged at ${generation.acknowledgedAt}; there is ${short(final.g) || 'nothing'}`,
      );
  const answers = record.calls.filter(({ method, g }) => method === 'finishEnrollment' && g === final.g);
  if (answers.length > 0 && answers.every(({ outcome }) => outcome === 'TICKET_REFUSED'))
    yield say('stored-and-denied', `${short(final.g)} is there, though its tickets were refused`);
  if (final.number !== lineage.length)
    yield say('extra-generation', `${final.number} generations were committed, but ${lineage.length} lead to ${short(final.g)}`);
}

function* checkHealed({ healed, final }: Record, say: Say): Generator<Violation> {
  const isFull = final !== undefined && final.points.length >= final.limit;
  for (const { what, outcome, message = '' } of healed) {
    if (outcome === 'ok') continue;
    // Something else came first, and was said so.
    if (what !== 'right code' && (outcome === 'GENERATION_UNKNOWN' || outcome === 'GENERATION_CONFLICT')) continue;
    if ((outcome === 'TICKET_REFUSED' || outcome === 'TICKET_EXPIRED') && what === 'unfinished enrolment') continue;
    if (outcome === 'EXHAUSTED' && isFull) continue;
    yield say('not-healed', `${what}: ${outcome} ${message}`);
  }
}

function acknowledgedBefore({ generations }: Record, at: number): Generation[] {
  return [...generations.values()].filter(({ acknowledgedAt }) => acknowledgedAt !== undefined && acknowledgedAt <= at);
}

/** What it replaced, and what that replaced. */
function* ancestors({ generations }: Record, { previous }: Generation): Generator<Generation> {
  for (let g = previous; g !== ''; ) {
    const generation = generations.get(g);
    if (!generation) return;
    yield generation;
    g = generation.previous;
  }
}

const short = (hex: string): string => hex.slice(0, 8);
