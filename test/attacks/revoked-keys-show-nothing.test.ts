import { create } from '@bufbuild/protobuf';
import { randomBytes } from '@noble/hashes/utils.js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { TokenPort } from '../../daemon/token/port.ts';
import { SecretBytes } from '../../primitives/secret-bytes.ts';
import { ErasureSchema } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { ForgetRequestSchema, type VoteRequest, VoteRequestSchema, VoteSchema } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import { erasedTranscript, pointTranscript, spentTranscript, voteTranscript } from '../../protocol/transcripts.ts';
import { evaluateRequest, guess, voteRequest, votes } from '../integration/support/attempt.ts';
import { placesOf } from '../integration/support/counted-fleet.ts';
import { CODE, type Draft, enrolled } from '../integration/support/draft.ts';
import { type OwnFleet, startOwnFleet } from '../integration/support/own-fleet.ts';
import { refusalOf } from '../integration/support/refusals.ts';
import { openStolenTokens } from '../integration/support/stolen-token.ts';
import { type Vote, World } from '../integration/support/world.ts';

// Two of five replicas left the fleet, and their tokens fell into the hands of one who also coordinates. What five enrolled takes three.

const REVOKED = [4, 5];
const LEFT = [1, 2, 3];
const ENROLLED = 2;
const RECORD = 'kept';
const backupKey = randomBytes(32);

let own: OwnFleet;
let world: World;
let tokens: readonly TokenPort[];
let draft: Draft;

beforeAll(async () => {
  own = await startOwnFleet();
  await own.fleet.restate({ joining: REVOKED });
  const five = await World.open(placesOf(own.fleet));
  draft = await enrolled(five, 'counted');
  const record = { recordId: RECORD, code: CODE, backupKey: new SecretBytes(Buffer.from(backupKey)), policy: { limit: 5, coolDownMs: 0 } };
  expect((await five.device().enroll(record)).holders).toEqual([...LEFT, ...REVOKED]);
  tokens = await openStolenTokens(five, REVOKED);
  five.close();
  await own.fleet.restate({ leaving: REVOKED });
  world = await World.open(placesOf(own.fleet));
});

afterAll(async () => {
  await Promise.all(tokens?.map((token) => token.close()) ?? []);
  world?.close();
  await own?.stop();
});

/** By every revoked key, for the epoch that it was in force for, and for the one in force. */
async function signedByRevoked(digestOf: (index: number, epoch: number) => Uint8Array) {
  const words = [ENROLLED, world.statement.epoch].flatMap((epoch) =>
    REVOKED.map((index, i) => ({ index, epoch, token: tokens[i] as TokenPort })),
  );
  return Promise.all(words.map(async ({ index, epoch, token }) => ({ index, signature: await token.sign(digestOf(index, epoch)) })));
}

/** As a coordinator of the epoch in force asks. */
async function request(attempt: number): Promise<VoteRequest> {
  const asked = voteRequest(draft, await guess(world, draft, CODE), attempt);
  return create(VoteRequestSchema, { ...asked, epoch: BigInt(world.statement.epoch) });
}

const revokedVotes = async ({ point, attempt }: VoteRequest): Promise<Vote[]> => {
  const { rid, g, bodyHash } = draft;
  const { fleet } = world.statement;
  const counted = { fleet, rid, g, bodyHash, attempt, pointHash: pointTranscript(point).digest };
  const signed = await signedByRevoked((index, epoch) => voteTranscript(index, { ...counted, epoch }).digest);
  return signed.map((vote) => create(VoteSchema, vote));
};

test('no attempt is counted by them: with their votes in the place of one that counted, nobody evaluates', async () => {
  const asked = await request(1);
  const two = await votes(world, asked, [2, 3]);
  const shown = await revokedVotes(asked);
  // Signed as a replica signs: in the place of those two they would be votes.
  expect(shown.map(({ signature }) => signature.length)).toEqual([64, 64, 64, 64]);
  for (const index of LEFT)
    for (const collected of [shown, [...two, ...shown], [...shown, ...two]])
      expect(await refusalOf(world.peer(index).calls.evaluate(evaluateRequest(asked, collected)))).toBe('VOTES_REFUSED');
  const three = [...two, ...(await votes(world, asked, [1]))];
  for (const index of LEFT) expect(await refusalOf(world.peer(index).calls.evaluate(evaluateRequest(asked, three)))).toBe('ACCEPTED');
});

test.each([
  ['spent', spentTranscript],
  ['erased', erasedTranscript],
] as const)('no record goes because they say that it is %s', async (word, transcriptOf) => {
  const [rid, { g }] = [world.rid(RECORD), await world.device().describe(RECORD)];
  const { fleet } = world.statement;
  const signed = await signedByRevoked((index, epoch) => transcriptOf({ fleet, epoch, index, rid, g }).digest);
  const erasure = create(ErasureSchema, { [word]: signed });
  for (const index of LEFT)
    expect(await refusalOf(world.peer(index).calls.forget(create(ForgetRequestSchema, { rid, g, erasure })))).toBe('ERASURE_REFUSED');
  // Of five holders these three are left, and it takes all of them.
  const recovered = await world.device().recover({ recordId: RECORD, code: CODE, renew: false });
  expect(recovered.backupKey.expose()).toEqual(backupKey);
});
