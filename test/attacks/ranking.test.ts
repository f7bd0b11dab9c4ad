import { beforeAll, describe, expect, test } from 'vitest';
import { weaknessOf } from '../../client/weak-code.ts';
import { attack, type Candidate, type Evidence, evaluate, type Guess, guess, makeCandidate } from './attacker.ts';
import { type Distinguisher, distinguishers } from './distinguishers.ts';
import { chance, distanceFromUniform, rankOf } from './uniformity.ts';

// P1 in numbers: whoever has t - 1 replicas, the record and all traffic orders the candidates by what they would imply, and finds the
// true code anywhere. That a list of distinguishers finds nothing proves little by itself; so each of them comes with a flaw that
// it does find, measured in the same way. What 100 trials show is a code that is among the best k more often than by chance by 27
// trials in 100, for any k; less than that is for the proof to exclude.

const CANDIDATES = 64;
const TRIALS = 100;
const FLAWED_TRIALS = 20;

interface Trial {
  readonly truth: number;
  readonly evidence: Evidence;
  readonly guesses: readonly Guess[];
}

const codes = Array.from({ length: 2 * CANDIDATES }, (_, i) => String(493_817 + 37 * i)).filter((code) => !weaknessOf(code));
const pick = (below: number) => Math.floor(Math.random() * below);

async function makeTrial(candidates: readonly Candidate[], hostileReplicas: number): Promise<Trial> {
  const truth = pick(CANDIDATES);
  const wrong = (truth + 1 + pick(CANDIDATES - 1)) % CANDIDATES;
  const evidence = await attack(codes[truth] as string, codes[wrong] as string, hostileReplicas);
  const guesses = await Promise.all(candidates.map((candidate) => guess(evaluate(candidate, evidence.hostile), evidence)));
  return { truth, evidence, guesses };
}

async function makeTrials(candidates: readonly Candidate[], trials: number, hostileReplicas: number): Promise<Trial[]> {
  const made: Trial[] = [];
  for (let i = 0; i < trials; i++) made.push(await makeTrial(candidates, hostileReplicas));
  return made;
}

function ranks(trials: readonly Trial[], score: Distinguisher['score']): Promise<number[]> {
  return Promise.all(
    trials.map(async ({ truth, evidence, guesses }) => rankOf(truth, await Promise.all(guesses.map((guess) => score(guess, evidence))))),
  );
}

/** The same trials, had the protocol the flaw. */
async function withFlaw({ truth, evidence, guesses }: Trial, flaw: Distinguisher['flaw']): Promise<Trial> {
  const flawed = await flaw(evidence, guesses[truth] as Guess);
  return { truth, evidence: flawed, guesses: await Promise.all(guesses.map((evaluated) => guess(evaluated, flawed))) };
}

let candidates: readonly Candidate[];
beforeAll(async () => {
  candidates = await Promise.all(codes.slice(0, CANDIDATES).map(makeCandidate));
});

describe('t−1 replicas’ complete state does not rank the true code above chance', () => {
  let trials: readonly Trial[];
  beforeAll(async () => {
    trials = await makeTrials(candidates, TRIALS, 2);
  }, 120_000);

  test.each(distinguishers)('by $looksFor', async ({ score }) => {
    expect(distanceFromUniform(await ranks(trials, score), CANDIDATES)).toBeLessThan(chance(TRIALS));
  });

  test.each(distinguishers)('as it would if there were $looksFor', async ({ score, flaw }) => {
    const flawed = await Promise.all(trials.slice(0, FLAWED_TRIALS).map((trial) => withFlaw(trial, flaw)));
    const found = await ranks(flawed, score);
    expect(distanceFromUniform(found, CANDIDATES)).toBeGreaterThan(chance(FLAWED_TRIALS));
  });
});

test('t replicas’ state tells the code: so much is promised, and no more', async () => {
  const trials = await makeTrials(candidates, 3, 3);
  const opening = distinguishers.filter(({ looksFor }) => /commitment|auth_i|proof|payload/.test(looksFor));
  expect(opening.length).toBe(4);
  for (const { score } of opening) expect(await ranks(trials, score)).toEqual([0, 0, 0]);
});
