import { p256 } from '@noble/curves/nist.js';
import { randomBytes } from '@noble/hashes/utils.js';
import { blind } from '../../client/oprf.ts';
import { concat, toHex } from '../../primitives/bytes.ts';
import { SecretBytes } from '../../primitives/secret-bytes.ts';
import { BeginRecoveryRequestSchema, type Evaluation } from '../../proto/gen/backupvault/v1/vault_pb.ts';
import { expand } from '../../protocol/scalar.ts';
import { blindTranscript } from '../../protocol/transcripts.ts';
import { RECORD } from '../harness/soft-client.ts';
import type { SoftFleet } from '../harness/soft-fleet.ts';
import type { Candidate } from './attacker.ts';

const { Point } = p256;
type Point = InstanceType<typeof Point>;

/** What a hostile replica knows when it answers. */
interface Asked {
  readonly point: Point;
  /** k_i under its tweak */
  readonly key: bigint;
  /** What it believes the code to be. */
  readonly guess: Candidate;
  readonly rid: Uint8Array;
  readonly g: Uint8Array;
  /** How often it was asked before. */
  readonly before: number;
}

export interface Behaviour {
  readonly name: string;
  /** A point with the x that is Z, signed; or what it does in place of an answer. */
  readonly answer: (asked: Asked) => Point | 'refuse' | 'be late' | 'do not sign';
  readonly liesAtRelease?: boolean;
}

const truth = ({ point, key }: Asked) => point.multiply(key);
const tag = ({ point, key }: Asked) => point.multiply(key + 1n);

/** What a client's random generator gives where it is broken. */
export const brokenRandom = <T extends ArrayBufferView | null>(array: T): T => {
  if (array instanceof Uint8Array) array.fill(7);
  return array;
};

export const honest: Behaviour = { name: 'answers truly', answer: truth };
export const tags: Behaviour = { name: 'answers under another key', answer: tag };

/** What a client sends for the guess whose blinds are made of a secret that its broken generator drew. */
function blindedByBroken({ guess: { input }, rid, g }: Asked): Point {
  const blocks = expand(brokenRandom(new Uint8Array(32)), blindTranscript(rid, g, input).digest);
  const drawn = (length = 32) =>
    concat(...Array.from({ length: Math.ceil(length / 32) }, () => blocks.next().value as Uint8Array)).slice(0, length);
  return Point.fromBytes(blind(new SecretBytes(input.slice()), drawn).point);
}

/** Blinds that it may hope for: none at all, one made of the code, one from a broken generator. */
export const answersItsGuess: Behaviour = {
  name: 'answers truly if the point is its guess under a blind that it knows',
  answer: (asked) => {
    const { element, selfBlinded } = asked.guess;
    return [element, selfBlinded, blindedByBroken(asked)].some((hoped) => hoped.equals(asked.point)) ? truth(asked) : tag(asked);
  },
};

export const behaviours: readonly Behaviour[] = [
  honest,
  tags,
  answersItsGuess,
  { name: 'answers for its guess', answer: ({ guess, key }) => guess.element.multiply(key) },
  {
    name: 'moves its answer by the way from the point to its guess',
    answer: (asked) => truth(asked).add(asked.point).subtract(asked.guess.element),
  },
  { name: 'gives the point back', answer: ({ point }) => point },
  { name: 'answers falsely every other time', answer: (asked) => (asked.before % 2 === 0 ? tag(asked) : truth(asked)) },
  { name: 'answers truly every other time', answer: (asked) => (asked.before % 2 === 0 ? truth(asked) : tag(asked)) },
  { name: 'does not sign', answer: () => 'do not sign' },
  { name: 'refuses', answer: () => 'refuse' },
  { name: 'is late with the truth', answer: (asked) => (asked.before === 0 ? 'be late' : truth(asked)) },
  { name: 'is late with a falsehood', answer: (asked) => (asked.before === 0 ? 'be late' : tag(asked)) },
  { name: 'releases a wrong share', answer: truth, liesAtRelease: true },
];

/** Lets replicas behave in this way in every recovery of the record that is enrolled now. */
export function takeOver(
  fleet: SoftFleet,
  indices: readonly number[],
  { answer, liesAtRelease = false }: Behaviour,
  guess: Candidate,
): void {
  const hashed = fleet.bodyOf(RECORD);
  for (const index of indices) fleet.replica(index).liesAtRelease = liesAtRelease;
  let before = 0;
  fleet.tamper.beginRecovery = (reply) => {
    const request = fleet.lastReceived('beginRecovery', BeginRecoveryRequestSchema);
    const point = Point.fromBytes(request.point);
    const answerOf = (index: number): Evaluation | undefined => {
      const replica = fleet.replica(index);
      const key = Point.Fn.fromBytes(replica.stateOf(hashed.body.g).oprfKey);
      const answered = answer({ point, key, guess, before, rid: hashed.body.rid, g: hashed.body.g });
      if (answered === 'be late') reply.silent.push(index);
      if (answered === 'be late' || answered === 'refuse') return undefined;
      const evaluated = xOf(answered === 'do not sign' ? point : answered);
      const counts = { attempt: reply.attempt, used: reply.attempt, limit: hashed.body.policy.limit };
      const receipt = replica.receipt(fleet.statement, hashed, counts, request.point, evaluated);
      return answered === 'do not sign' ? { ...receipt, signature: randomBytes(64) } : receipt;
    };
    reply.evaluations = reply.evaluations.flatMap((evaluation) =>
      indices.includes(evaluation.index) ? (answerOf(evaluation.index) ?? []) : [evaluation],
    );
    before++;
  };
}

/** Which replicas answered a point under the key of the record. */
export function truthfulAmong(fleet: SoftFleet, evaluations: readonly Evaluation[], point: Uint8Array): number[] {
  const { g } = fleet.bodyOf(RECORD).body;
  return evaluations
    .filter(({ index, evaluated }) => {
      const key = Point.Fn.fromBytes(fleet.replica(index).stateOf(g).oprfKey);
      return toHex(xOf(Point.fromBytes(point).multiply(key))) === toHex(evaluated);
    })
    .map(({ index }) => index);
}

const xOf = (point: Point): Uint8Array => point.toBytes().slice(1);
