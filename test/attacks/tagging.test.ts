import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { CODE, clientOf, enrolInput, WRONG } from '../harness/soft-client.ts';
import { SoftFleet } from '../harness/soft-fleet.ts';
import { makeCandidate } from './attacker.ts';
import { answersItsGuess, type Behaviour, behaviours, brokenRandom, honest, tags, takeOver, truthfulAmong } from './hostile-replica.ts';
import { type Flaw, traceOf } from './trace.ts';

// A replica that answers falsely "tags" a client: from what the client does next, it may hope to learn whether the code is the one
// that it guessed. What all replicas and the coordinator can see of the client must not tell.

const ALSO_WRONG = '274935';
const right = await makeCandidate(CODE);
const wrong = await makeCandidate(WRONG);

interface Scene {
  readonly replicas?: number;
  readonly behaviour: Behaviour;
  readonly guess: typeof right;
  readonly code: string;
  /** Whether just t - 1 honest holders answer, so that the hostile ones make the difference. */
  readonly decides?: boolean;
  readonly flaw?: (fleet: SoftFleet) => Flaw;
}

/** As many replicas are hostile as leave t honest ones. */
async function observe({ replicas = 3, behaviour, guess, code, decides = false, flaw }: Scene): Promise<readonly string[]> {
  const fleet = new SoftFleet({ replicas });
  await clientOf(fleet).enroll(enrolInput());
  const indices = fleet.replicas.map(({ index }) => index);
  const { threshold } = fleet.statement;
  takeOver(fleet, indices.slice(0, replicas - threshold), behaviour, guess);
  if (decides) fleet.silent.add(replicas); // of the t honest ones, one
  return traceOf(fleet, code, flaw?.(fleet));
}

beforeEach(() => {
  vi.spyOn(Math, 'random').mockReturnValue(0); // the jitter of pauses
});
afterEach(() => {
  vi.restoreAllMocks();
});

describe.each([3, 5])('a hostile replica learns nothing from what the client does, of %i replicas', (replicas) => {
  test.each(behaviours)('if it $name, and t others answer a right code', async (behaviour) => {
    const expected = await observe({ replicas, behaviour: honest, guess: wrong, code: CODE });
    for (const guess of [right, wrong]) expect(await observe({ replicas, behaviour, guess, code: CODE })).toEqual(expected);
  });

  test.each(behaviours)('if it $name, and the code is a wrong one', async (behaviour) => {
    const expected = await observe({ replicas, behaviour, guess: wrong, code: ALSO_WRONG });
    expect(await observe({ replicas, behaviour, guess: wrong, code: WRONG })).toEqual(expected);
  });

  // Whether its answer was true it can see here, and it knew before. Whether it guessed the code it cannot.
  test.each(behaviours)('if it $name, and its answer decides', async (behaviour) => {
    const expected = await observe({ replicas, behaviour, guess: wrong, code: CODE, decides: true });
    expect(await observe({ replicas, behaviour, guess: right, code: CODE, decides: true })).toEqual(expected);
  });
});

test('a false answer is told from a true one by nothing, right code or wrong', async () => {
  for (const code of [CODE, WRONG]) {
    const expected = await observe({ behaviour: honest, guess: wrong, code });
    expect(await observe({ behaviour: tags, guess: wrong, code })).toEqual(expected);
  }
});

test('what is compared is the whole of a recovery', async () => {
  const trace = await observe({ behaviour: honest, guess: wrong, code: CODE });
  const methods = trace.map((line) => line.split(' ')[0]);
  expect(methods).toEqual(['describeRecord', 'beginRecovery', 'finishRecovery', 'beginEnrollment', 'finishEnrollment', 'recovered']);
  expect(await observe({ behaviour: honest, guess: wrong, code: WRONG, decides: true })).toContain('pause of 500 ms');
});

describe('another client would be found out', () => {
  test('which proves the code elsewhere where an answer was false', async () => {
    const flaw =
      (fleet: SoftFleet): Flaw =>
      (wire) => {
        let falsehoods = 0;
        return {
          ...wire,
          beginRecovery: async (request) => {
            const reply = await wire.beginRecovery(request);
            falsehoods = reply.evaluations.length - truthfulAmong(fleet, reply.evaluations, request.point).length;
            return reply;
          },
          finishRecovery: (request) => wire.finishRecovery({ ...request, turn: request.turn + falsehoods }),
        };
      };
    const expected = await observe({ behaviour: honest, guess: wrong, code: CODE, flaw });
    expect(await observe({ behaviour: tags, guess: wrong, code: CODE, flaw })).not.toEqual(expected);
  });

  test('which asks again because of a false answer', async () => {
    const flaw =
      (fleet: SoftFleet): Flaw =>
      (wire) => ({
        ...wire,
        beginRecovery: async (request) => {
          const reply = await wire.beginRecovery(request);
          const isTrue = truthfulAmong(fleet, reply.evaluations, request.point).length === reply.evaluations.length;
          return isTrue ? reply : wire.beginRecovery(request);
        },
      });
    const expected = await observe({ behaviour: honest, guess: wrong, code: WRONG, flaw });
    expect(await observe({ behaviour: tags, guess: wrong, code: WRONG, flaw })).not.toEqual(expected);
  });

  test('whose blind can be foreseen', async () => {
    // From the first message on: what the fleet was made with is random.
    const flaw = (): Flaw => (wire) => {
      vi.spyOn(crypto, 'getRandomValues').mockImplementation(brokenRandom);
      return wire;
    };
    const traces = [];
    for (const guess of [right, wrong]) {
      traces.push(await observe({ behaviour: answersItsGuess, guess, code: CODE, decides: true, flaw }));
      vi.mocked(crypto.getRandomValues).mockRestore();
    }
    expect(traces[0]).not.toEqual(traces[1]);
    expect(traces[0]?.some((line) => line.startsWith('finishRecovery'))).toBe(true);
    expect(traces[1]?.some((line) => line.startsWith('finishRecovery'))).toBe(false);
  });
});
