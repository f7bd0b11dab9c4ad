import { readFileSync } from 'node:fs';
import { create, toBinary } from '@bufbuild/protobuf';
import { randomBytes } from '@noble/hashes/utils.js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { blind } from '../../client/oprf.ts';
import { GrantSigner } from '../../frontend/grant-signer.ts';
import { toHex } from '../../primitives/bytes.ts';
import { systemClock } from '../../primitives/clock.ts';
import { SecretBytes } from '../../primitives/secret-bytes.ts';
import { type Attempts, AttemptsSchema, type GrantedPoint, GrantedPointSchema } from '../../proto/gen/backupvault/v1/record_pb.ts';
import type { VoteRequest } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import { pointTranscript } from '../../protocol/transcripts.ts';
import { evaluateRequest, type Guess, guess, voteRequest, votes } from '../integration/support/attempt.ts';
import { CODE, type Draft, enrolled, input } from '../integration/support/draft.ts';
import { type OwnFleet, startOwnFleet } from '../integration/support/own-fleet.ts';
import { refusalOf } from '../integration/support/refusals.ts';

// Whoever coordinates and has the frontend's grants gives each guess a number. He would like the last numbers first, so that the victim's
// receipt says "attempt 1": each guard counts in one order, and its receipt says how many it has counted.

let own: OwnFleet;

beforeAll(async () => {
  own = await startOwnFleet({ etcdMembers: 1 });
});

afterAll(() => own?.stop());

const pointOf = ({ blinded, grant }: Guess): GrantedPoint =>
  create(GrantedPointSchema, { hash: pointTranscript(blinded.point).digest, grant });

const ask = (draft: Draft, by: Guess, attempt: number, ...shown: GrantedPoint[]): VoteRequest => ({
  ...voteRequest(draft, by, attempt),
  shown,
});

const guesses = (draft: Draft, ...codes: string[]) => Promise.all(codes.map((code) => guess(own.world, draft, code)));

/** Granted long ago. */
async function staleGuess({ file, recordId, rid, g }: Draft, code: string): Promise<Guess> {
  const blinded = blind(input(own.world, rid, code));
  const { fleet, tenant, grant } = file;
  const clock = { ...systemClock, now: () => Date.UTC(2020, 0) };
  const signer = new GrantSigner({ kid: grant.kid, pem: readFileSync(grant.key, 'utf8'), clock });
  const authorises = pointTranscript(blinded.point).digest;
  return { blinded, grant: await signer.sign({ fleet, tenant, operation: 'begin-recovery', recordId, g, authorises }) };
}

const evaluates = async (index: number, request: VoteRequest) => {
  const collected = await votes(own.world, request, [1, 2, 3]);
  return (await own.world.peer(index).calls.evaluate(evaluateRequest(request, collected))).evaluation;
};

describe('a coordinator that numbers its guesses from the end', () => {
  let draft: Draft;
  let first: Guess;
  let last: Guess;

  beforeAll(async () => {
    draft = await enrolled(own.world, 'numbered', { limit: 3 });
    [first, last] = (await guesses(draft, 'guess 1', 'guess 2')) as [Guess, Guess];
  });

  const vote = (request: VoteRequest) => refusalOf(own.world.peer(1).calls.vote(request));

  test('gets no vote for a number while lower ones are free', async () => {
    expect(await vote(ask(draft, last, 3))).toBe('ATTEMPT_GAP');
    expect(await vote(ask(draft, last, 2))).toBe('ATTEMPT_GAP');
  });

  test('nor by showing points that nobody granted for this record and generation', async () => {
    const other = await enrolled(own.world, 'numbered-too');
    const [elsewhere] = (await guesses(other, 'guess 1')) as [Guess];
    const { g } = other;
    const [ofAnother] = (await guesses({ ...draft, g }, 'guess 1')) as [Guess];
    for (const shown of [
      { ...pointOf(first), grant: '' },
      { ...pointOf(first), grant: last.grant },
      pointOf(elsewhere),
      pointOf(ofAnother),
      { ...pointOf(last) },
    ])
      expect(await vote(ask(draft, last, 2, shown))).toBe('ATTEMPT_GAP');
  });

  test('and each that it shows is used up: the victim is told', async () => {
    expect(await vote(ask(draft, last, 2, pointOf(first)))).toBe('ACCEPTED');
    const evaluation = await evaluates(2, ask(draft, last, 2, pointOf(first)));
    expect(evaluation).toMatchObject({ used: 2 });
    const [mine] = (await guesses(draft, CODE)) as [Guess];
    expect(await vote(ask(draft, mine, 1, pointOf(first), pointOf(last)))).toBe('ATTEMPT_CONFLICT');
    const evaluated = await evaluates(3, ask(draft, mine, 3, pointOf(first), pointOf(last)));
    expect(evaluated).toMatchObject({ used: 3 });
  });
});

test('an attempt whose coordinator and device were lost before any vote holds up nobody, though its grant has expired', async () => {
  const draft = await enrolled(own.world, 'lost', { limit: 3 });
  const gone = await staleGuess(draft, 'a code');
  // All that is left of it is what etcd has.
  const register = (await own.world.store.attempts(draft.rid)) as Attempts;
  await own.world.etcd.commit({
    conditions: [],
    writes: [
      { put: `a/${toHex(draft.rid)}`, value: toBinary(AttemptsSchema, create(AttemptsSchema, { ...register, points: [pointOf(gone)] })) },
    ],
    otherwise: [],
  });
  const recovered = await own.world.device().recover({ recordId: 'lost', code: CODE, renew: false });
  expect(recovered).toMatchObject({ attempt: 2, attemptsElsewhere: 1, used: { attempts: 2, unconfirmed: undefined, isLowerBound: false } });
});

test('a replica that was away counts what it missed before it votes', async () => {
  const device = own.world.device();
  await device.enroll({ recordId: 'away', code: CODE, backupKey: new SecretBytes(randomBytes(32)), policy: { limit: 5, coolDownMs: 0 } });
  const third = own.fleet.replica(3).process;
  await third.kill();
  for (const code of ['wrong 1', 'wrong 2']) expect(await refusalOf(device.recover({ recordId: 'away', code }))).toBe('WRONG_CODE');
  await third.start();
  await own.fleet.replica(1).process.kill(); // now the third is needed
  const recovered = await device.recover({ recordId: 'away', code: CODE, renew: false });
  expect(recovered).toMatchObject({ attempt: 3, used: { attempts: 3, isLowerBound: true } });
  await own.fleet.replica(1).process.start();
});
