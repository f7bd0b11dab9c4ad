import { create } from '@bufbuild/protobuf';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseCurveX } from '../../client/curve.ts';
import { ownerKey } from '../../client/derive.ts';
import type { Blinded } from '../../client/oprf.ts';
import { toHex } from '../../primitives/bytes.ts';
import { EraseRecordRequestSchema } from '../../proto/gen/backupvault/v1/vault_pb.ts';
import type { Ticket } from '../../protocol/offer.ts';
import { eraseTranscript, replaceTranscript } from '../../protocol/transcripts.ts';
import { secretOf } from '../harness/soft-client.ts';
import { guess } from './support/attempt.ts';
import { begin, CODE, type Draft, draftEnrolment, enrolled, finishRequest } from './support/draft.ts';
import { refusalOf } from './support/refusals.ts';
import { stolenSubRecords } from './support/stolen-guard.ts';
import { World } from './support/world.ts';

// A hostile frontend relayed an enrolment and kept its bytes. It grants itself what it likes; etcd and all replicas are honest.

let world: World;

beforeAll(async () => {
  world = await World.open();
});

afterAll(() => world?.close());

const LIMIT = 2;

async function tryCode(draft: Draft, code: string): Promise<string> {
  const { recordId, g } = draft;
  const { blinded, grant } = await guess(world, draft, code);
  return refusalOf(world.frontend().beginRecovery({ recordId, g, point: blinded.point, grant }));
}

async function erase({ recordId, rid, g }: Draft): Promise<string> {
  const grant = await world.grant({ operation: 'erase', recordId, g, authorises: eraseTranscript(rid, g).digest });
  return refusalOf(world.frontend().eraseRecord(create(EraseRecordRequestSchema, { recordId, g, grant })));
}

test('an enrolment sent again gets no attempts back, although another generation now has the name of what it replaced', async () => {
  const recordId = 'cycle';
  const first = await enrolled(world, recordId, { limit: LIMIT });
  const victim = await enrolled(world, recordId, { limit: LIMIT, replaces: first });
  const relayed = await finishRequest(world, victim);
  const subRecords = await stolenSubRecords(world, victim);
  expect(subRecords.length).toBeGreaterThanOrEqual(2);
  const tokens = world.watchTokens();

  for (const code of ['one code', 'another code']) expect(await tryCode(victim, code)).toBe('ACCEPTED');
  expect(await erase(victim)).toBe('ACCEPTED');

  // Over a tombstone nobody need agree: the frontend's own generation, named as the victim's first, with an owner key that it knows.
  const own = await draftEnrolment(world, recordId, { limit: LIMIT, g: first.g, previous: victim.g });
  expect(await refusalOf(world.frontend().finishEnrollment(await finishRequest(world, own)))).toBe('ACCEPTED');
  const { fleet, epoch } = world.statement;
  const { rid, g, bodyHash } = victim;
  const ownerSignature = ownerKey(own.backupKey, rid).sign(replaceTranscript({ fleet, epoch, rid, g }, first.g, bodyHash));
  expect(await refusalOf(world.frontend().finishEnrollment({ ...relayed, ownerSignature }))).toBe('GENERATION_CONFLICT');
  expect(await tryCode(victim, 'a third code')).toBe('GENERATION_UNKNOWN');

  for (const subRecord of subRecords) expect(tokens[subRecord.index - 1]?.evaluatedUnder(victim.body, subRecord).size).toBe(LIMIT);
});

/** Whether these evaluations open the masks of a generation, for somebody who knows the code. */
const opens = async ({ body }: Draft, blinded: Blinded, evaluations: readonly { index: number; evaluated: Uint8Array }[]) => {
  const answers = evaluations.map(({ index, evaluated }) => ({ index, evaluated: parseCurveX(evaluated, 'Z') }));
  return (await secretOf(body, answers, blinded)) !== undefined;
};

test('a generation that is begun again under its old name has fresh seeds, and is not stored: the masks of the erased one stay closed, even to who guesses the code', async () => {
  const recordId = 'begun-again';
  const victim = await enrolled(world, recordId, { limit: LIMIT });
  const { g, blinded } = victim;
  const right = await guess(world, victim, CODE);
  const begun = await world.frontend().beginRecovery({ recordId, g, point: right.blinded.point, grant: right.grant });
  expect(await opens(victim, right.blinded, begun.evaluations)).toBe(true); // so would an evaluation under the old seeds
  expect(await erase(victim)).toBe('ACCEPTED');

  // An offer is evaluated without being counted: with the same seed, each would be a guess at what was erased.
  const { proofKey } = victim.body;
  for (const asked of [blinded, right.blinded]) {
    const offers = (await begin(world, { recordId, g, point: asked.point, proofKey })).map(({ ticket }) => ticket as Ticket);
    expect(offers).toHaveLength(3);
    expect(await opens(victim, asked, offers)).toBe(false);
    for (const { index, evaluated, releaseElement, nonce } of offers) {
      const before = victim.tickets.find((ticket) => ticket.index === index) as Ticket;
      expect(toHex(evaluated)).not.toBe(toHex(before.evaluated));
      expect(toHex(releaseElement)).not.toBe(toHex(before.releaseElement));
      expect(toHex(nonce)).not.toBe(toHex(before.nonce));
    }
  }

  // Nor is one of the frontend's own enrolled under that name, whose attempts would all be its own to spend.
  const between = await enrolled(world, recordId, { limit: LIMIT, previous: g });
  expect(await erase(between)).toBe('ACCEPTED');
  const own = await draftEnrolment(world, recordId, { limit: LIMIT, g, previous: between.g });
  expect(await refusalOf(world.frontend().finishEnrollment(await finishRequest(world, own)))).toBe('GENERATION_CONFLICT');
});
