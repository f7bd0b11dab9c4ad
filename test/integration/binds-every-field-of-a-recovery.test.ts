import { create } from '@bufbuild/protobuf';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { fromHex } from '../../primitives/bytes.ts';
import { RecallRequestSchema } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import { evaluateRequest, type Guess, guess, releaseRequest, voteRequest, votes } from './support/attempt.ts';
import { CODE, type Draft, enrolled } from './support/draft.ts';
import { type Rules, refusalOf, surprises } from './support/refusals.ts';
import { World } from './support/world.ts';

// At replica 1, every single change of every field of what it is sent.

let world: World;
let draft: Draft;
let honest: Guess;

beforeAll(async () => {
  world = await World.open();
  draft = await enrolled(world, 'recovered');
  honest = await guess(world, draft, CODE);
});

afterAll(() => world?.close());

const granted: Rules = [
  [/^account\.tenant/, 'FOREIGN_TENANT'],
  [/^account\.recordId/, 'GRANT_REFUSED'],
  [/^(g|bodyHash) (longer|shorter)/, 'MALFORMED'],
  [/^point (longer|shorter|first bit)/, 'MALFORMED'],
  [/^point last bit/, 'GRANT_REFUSED', 'MALFORMED'], // half of all x have no point
  [/^(g|grant) /, 'GRANT_REFUSED'],
  [/^bodyHash/, 'GENERATION_UNKNOWN'],
];

test('of a request for a vote', async () => {
  const message = voteRequest(draft, honest, 1);
  const { vote } = world.peer(1).calls;
  await vote(message);
  const rules: Rules = [...granted, [/^attempt/, 'ATTEMPT_CONFLICT'], [/^epoch/, 'STATEMENT_MISMATCH']];
  expect(await surprises(message, vote, rules)).toEqual([]);
  expect(await refusalOf(vote(message))).toBe('ACCEPTED');
});

test('of a request to recall', async () => {
  const { recall } = world.peer(1).calls;
  const { rid } = draft;
  const { epoch } = draft.body;
  expect(await refusalOf(recall(create(RecallRequestSchema, { rid, epoch })))).toBe('ACCEPTED');
  expect(await refusalOf(recall(create(RecallRequestSchema, { rid, epoch: epoch + 1n })))).toBe('STATEMENT_MISMATCH');
  expect(await refusalOf(recall(create(RecallRequestSchema, { rid: rid.subarray(1), epoch })))).toBe('MALFORMED');
});

test('of votes', async () => {
  const message = evaluateRequest(voteRequest(draft, honest, 1), await votes(world, voteRequest(draft, honest, 1), [2, 3]));
  const { evaluate } = world.peer(1).calls;
  const rules: Rules = [...granted, [/^(attempt|votes)/, 'VOTES_REFUSED']];
  expect(await surprises(message, evaluate, rules)).toEqual([]);
  expect(await refusalOf(evaluate(message))).toBe('ACCEPTED');
});

test('of a proof', async () => {
  await votes(world, voteRequest(draft, honest, 1), [1]);
  const message = releaseRequest(world, draft, honest, 1);
  const { release } = world.peer(1).calls;
  const rules: Rules = [
    [/^account\.tenant/, 'FOREIGN_TENANT'],
    [/^(g|proof) (longer|shorter)/, 'MALFORMED'],
    [/^(point|blindedBase) (longer|shorter|first bit)/, 'MALFORMED'],
    [/^point last bit/, 'ATTEMPT_UNKNOWN', 'MALFORMED'],
    [/^blindedBase last bit/, 'PROOF_REFUSED', 'MALFORMED'],
    [/^(account\.recordId|g) /, 'GENERATION_UNKNOWN'],
    [/^(attempt|proof) /, 'PROOF_REFUSED'],
  ];
  expect(await surprises(message, release, rules)).toEqual([]);
  expect(await refusalOf(release(message))).toBe('ACCEPTED');
});

test('of a grant: its claims, one by one, under a good signature', async () => {
  const message = voteRequest(draft, honest, 1);
  const [, payload] = honest.grant.split('.') as [string, string, string];
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as Record<string, string>;
  const { fleet, tenant, operation, g, authorises } = claims as Record<'fleet' | 'tenant' | 'operation' | 'g' | 'authorises', string>;
  const base = {
    fleet,
    tenant,
    operation: operation as 'begin-recovery',
    recordId: draft.recordId,
    g: fromHex(g, 'g'),
    authorises: fromHex(authorises, 'a'),
  };
  const sign = async (changed: typeof base) => world.peer(1).calls.vote({ ...message, grant: await world.grant(changed) });
  expect(await surprises(base, sign, [[/^/, 'GRANT_REFUSED']])).toEqual([]);
  expect(await refusalOf(sign(base))).toBe('ACCEPTED');
});
