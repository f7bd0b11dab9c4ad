import { describe, expect, it } from 'vitest';
import { check, type ViolationKind } from './checker.ts';
import { randomPoint } from './device.ts';
import type { Call, Decided, Entry, Evaluated, FaultEvent, Final, HistoryEvent } from './history.ts';
import { hashOfPoint } from './point-hash.ts';
import { xOf } from './records.ts';

const RID = 'aa'.repeat(32);
const [G1, G2, G3] = ['01'.repeat(16), '02'.repeat(16), '03'.repeat(16)];
const points = Array.from({ length: 6 }, () => Buffer.from(randomPoint()).toString('hex'));
const [P1, P2, P3, ...enrolledPoints] = points as [string, string, string, string, string, string];
const ENROLLED: Record<string, string> = { [G1]: enrolledPoints[0], [G2]: enrolledPoints[1], [G3]: enrolledPoints[2] };

const call = (at: number, facts: Partial<Call>): Call =>
  ({ type: 'call', at, until: at + 5, device: 'd', method: 'beginRecovery', rid: RID, outcome: 'ok', ...facts }) as Call;

const enrolment = (at: number, g: string, previous = '', facts: Partial<Call> = {}): Call =>
  call(at, {
    method: 'finishEnrollment',
    g,
    previous,
    limit: 2,
    point: ENROLLED[g] as string,
    enrolled: [1, 2, 3],
    acknowledged: true,
    ...facts,
  });

const answer = (at: number, point: string, attempt: number, facts: Partial<Call> = {}): Call =>
  call(at, { g: G1, point, attempt, limit: 2, receipts: [1, 2], ...facts });

const evaluated = (point: string, g = G1, replicas = [1, 2]): Evaluated[] =>
  replicas.map((replica) => ({ type: 'evaluated', at: 0, replica, tweak: `${g}-${replica}`, x: xOf(point) }));

const final = (g: string, counted: readonly string[], facts: Partial<Final> = {}): Final => ({
  ...{ type: 'final', rid: RID, state: 'live', g, limit: 2, points: counted.map(hashOfPoint), number: 1, ...facts },
});

const good: HistoryEvent[] = [
  enrolment(0, G1),
  answer(10, P1, 1),
  answer(20, P2, 2),
  ...evaluated(P1),
  ...evaluated(P2),
  final(G1, [P1, P2]),
];

/** Where holders prepared a generation, its tweak is known by the point of its enrolment. */
const prepared = [G1, G2, G3].flatMap((g) => evaluated(ENROLLED[g] as string, g, [1, 2, 3]));

const kinds = (...events: HistoryEvent[]): ViolationKind[] => [...new Set(check([...prepared, ...events]).map(({ kind }) => kind))];

describe('a history without violations', () => {
  it('is one of attempts within the limit, of which tokens, receipts and etcd tell alike', () => {
    expect(kinds(...good)).toEqual([]);
  });

  it('may have the same bytes again, offers that nobody took, releases, and a token’s tests of itself', () => {
    const again = answer(30, P1, 1);
    const others = [...evaluated(ENROLLED[G1] as string, 'another offer'), ...evaluated(points[3] as string, 'a release')];
    expect(kinds(...good, again, ...others)).toEqual([]);
  });

  it('may have unknown outcomes, and points that were counted for nobody', () => {
    const lost = call(20, { g: G1, point: P2, outcome: 'OUTCOME_UNKNOWN' });
    expect(kinds(enrolment(0, G1), answer(10, P1, 1), lost, ...evaluated(P1), final(G1, [P1, P2]))).toEqual([]);
  });

  it('may have tickets that a restart made worthless', () => {
    const refused = enrolment(0, G2, '', { outcome: 'TICKET_REFUSED', enrolled: [] });
    expect(kinds(refused, ...good)).toEqual([]);
    const healed: HistoryEvent = { type: 'healed', rid: RID, what: 'unfinished enrolment', outcome: 'TICKET_REFUSED' };
    expect(kinds(refused, ...good, healed)).toEqual([]);
  });

  it('may have a generation that another one replaced', () => {
    const gone = call(40, { g: G1, point: P3, outcome: 'GENERATION_UNKNOWN' });
    expect(kinds(...good.slice(0, -1), enrolment(30, G2, G1), gone, final(G2, [], { number: 2 }))).toEqual([]);
  });
});

describe('a violation is', () => {
  const rolledBack: HistoryEvent = { type: 'rolled-back', at: 0, rid: RID };
  const refusedTickets = (at = 0) => enrolment(at, G1, '', { outcome: 'TICKET_REFUSED', enrolled: [] });
  const failed = (outcome: Call['outcome'], at = 30, facts: Partial<Call> = {}) => call(at, { g: G1, point: P3, outcome, ...facts });

  it.each<[string, ViolationKind, HistoryEvent[]]>([
    ['one point too many at the tokens', 'limit-at-tokens', [...good, failed('OUTCOME_UNKNOWN'), ...evaluated(P3)]],
    ['one too many, whatever etcd says', 'limit-at-tokens', [rolledBack, ...good, failed('OUTCOME_UNKNOWN'), ...evaluated(P3, G1, [3])]],
    ['a receipt beyond the limit', 'limit-in-receipts', [...good, answer(30, P3, 3), ...evaluated(P3)]],
    ['a point at a token that nobody sent', 'unasked-at-tokens', [enrolment(0, G1), ...evaluated(P1)]],
    ['a receipt of a token that did nothing', 'unseen-at-tokens', [enrolment(0, G1), answer(10, P1, 1), final(G1, [P1])]],
    ['a receipt that is not signed', 'forged-receipt', [...good, answer(30, P1, 1, { forged: [3] })]],
    ['one attempt for two points', 'two-points', [...good, answer(30, P2, 1)]],
    ['one point that is two attempts', 'double-charge', [...good, answer(30, P1, 2)]],
    ['one point that etcd counts twice', 'double-charge', [...good.slice(0, -1), final(G1, [P1, P1])]],
    ['a point that etcd counts and nobody sent', 'double-charge', [...good.slice(0, -1), final(G1, [P1, P3])]],
    ['an answered attempt that etcd forgot', 'lost-attempt', [...good.slice(0, -1), final(G1, [P1])]],
    ['exhaustion by too few points', 'spent-for-nothing', [enrolment(0, G1), failed('EXHAUSTED')]],
    ['a record that is unknown after its enrolment was acknowledged', 'lost-generation', [...good, failed('RECORD_UNKNOWN')]],
    ['a generation that is unknown though nothing replaced it', 'lost-generation', [...good, failed('GENERATION_UNKNOWN')]],
    ['an acknowledged generation that is not there in the end', 'lost-generation', [...good, enrolment(30, G2, G1)]],
    ['a generation that is there though its tickets were refused', 'stored-and-denied', [refusedTickets(), final(G1, [])]],
    ['tickets that are refused for what is there', 'lost-generation', [...good, refusedTickets(30)]],
    ['a commit too many', 'extra-generation', [...good.slice(0, -1), final(G1, [P1, P2], { number: 2 })]],
    ['an answer of a generation that was replaced', 'old-code', [...good, enrolment(30, G2, G1), answer(50, P1, 1)]],
    ['that, too, whatever etcd says', 'old-code', [rolledBack, ...good, enrolment(30, G2, G1), answer(50, P1, 1)]],
    ['an error that an honest fleet never gives', 'forbidden-error', [...good, failed('ATTEMPT_CONFLICT')]],
    ['a daemon that ends without a reason', 'crashed', [{ type: 'exited', at: 0, replica: 1, why: 'TypeError: …\n\nNode.js v20' }]],
    ['a guard that must not serve any more', 'guard-lost', [{ type: 'exited', at: 0, replica: 1, why: 'bkvd: GUARD_MISMATCH: lost' }]],
    [
      'a right code that fails after healing',
      'not-healed',
      [...good, { type: 'healed', rid: RID, what: 'right code', outcome: 'COOLING_DOWN' }],
    ],
  ])('%s', (_, kind, events) => {
    expect(kinds(...events)).toContain(kind);
  });

  it.each<[ViolationKind, object]>([
    ['wrong-key', { outcome: 'ok', isRight: true, isOurKey: false }],
    ['wrong-code-accepted', { outcome: 'ok', isRight: false, isOurKey: true }],
    ['right-code-refused', { outcome: 'WRONG_CODE', isRight: true }],
    ['forbidden-error', { outcome: 'REPLY_UNTRUSTED', isRight: true }],
  ])('%s, as an entry of a code ends', (kind, entry) => {
    const event = { type: 'entry', at: 30, until: 40, device: 'd', rid: RID, ...entry } as HistoryEvent;
    expect(kinds(...good, event)).toEqual([kind]);
  });

  it('no conflict of a record that etcd lied about', () => {
    expect(kinds(rolledBack, ...good, failed('ATTEMPT_CONFLICT'))).toEqual([]);
  });

  describe('the tickets of an acknowledged generation that are refused', () => {
    const wasEnrolled = [enrolment(0, G1), enrolment(10, G2, G1)];
    const fromBefore = enrolment(30, G3, G1);
    const refused = enrolment(50, G2, G1, { outcome: 'TICKET_REFUSED', enrolled: [] });

    it('unless etcd went back to the one before, and another was enrolled from there', () => {
      expect(kinds(rolledBack, ...wasEnrolled, fromBefore, refused)).toEqual([]);
    });
    it.each<[string, HistoryEvent[]]>([
      ['where etcd did not lie', [...wasEnrolled, fromBefore, refused]],
      ['where nothing else was enrolled, whatever etcd says', [rolledBack, ...wasEnrolled, refused]],
      ['where that was sent only afterwards', [rolledBack, ...wasEnrolled, refused, enrolment(60, G3, G1)]],
    ])('%s', (_, events) => {
      expect(kinds(...events)).toEqual(['lost-generation']);
    });
  });
});

describe('a recovery that is held', () => {
  const HOLD = 10_000;
  const held = [
    enrolment(0, G1, '', { hold: HOLD }),
    answer(10, P1, 1),
    answer(20, P2, 2),
    ...evaluated(P1),
    ...evaluated(P2),
    final(G1, [P1, P2]),
  ];
  const proof = (at: number): Call => call(at, { method: 'finishRecovery', g: G1, point: P1 });
  const entry = (at: number, facts: Partial<Entry> = {}): Entry => ({
    ...{ type: 'entry', at, until: at + 10, device: 'd', rid: RID, isRight: true, outcome: 'ok', isOurKey: true, point: P1, ...facts },
  });
  const decided = (at: number, word: Decided['word'], isFinal = true): Decided => ({
    ...{ type: 'decided', at, until: at + 5, rid: RID, h: hashOfPoint(P1), word, isFinal },
  });
  const clock = (replica: number, at: number): FaultEvent => ({
    ...{ type: 'fault', at, until: at + 100, kind: 'clock', what: `replica-${replica} by 7200 s`, alone: false },
  });

  it('gives the key when its time is over', () => {
    expect(kinds(...held, proof(30), entry(30 + HOLD))).toEqual([]);
  });

  it('gives it at once after the owner’s word, and not before', () => {
    expect(kinds(...held, proof(30), decided(40, 'approve'), entry(50))).toEqual([]);
    expect(kinds(...held, proof(30), entry(50), decided(90, 'approve'))).toEqual(['released-early']);
  });

  it('is not given early by one clock that is wrong; of two nothing is said', () => {
    expect(kinds(...held, proof(30), clock(1, 20), entry(50))).toEqual(['released-early']);
    expect(kinds(...held, proof(30), clock(1, 20), clock(2, 40), entry(50))).toEqual([]);
  });

  it('gives nothing after a veto that is final, whenever', () => {
    expect(kinds(...held, proof(30), decided(40, 'veto'), entry(30 + HOLD))).toEqual(['released-after-veto']);
    expect(kinds(...held, proof(30), decided(40, 'veto', false), entry(30 + HOLD))).toEqual([]);
    expect(kinds(...held, proof(30), entry(30 + HOLD), decided(30 + HOLD + 5, 'veto'))).toEqual([]);
  });

  it('is refused only where its owner said so', () => {
    const refused = call(50, { method: 'finishRecovery', g: G1, point: P1, outcome: 'VETOED' });
    expect(kinds(...held, proof(30), decided(40, 'veto'), refused)).toEqual([]);
    expect(kinds(...held, proof(30), refused)).toEqual(['forbidden-error']);
    expect(kinds(...held, call(50, { method: 'finishRecovery', g: G1, point: P1, outcome: 'PROOF_CONFLICT' }))).toEqual([
      'forbidden-error',
    ]);
  });
});
