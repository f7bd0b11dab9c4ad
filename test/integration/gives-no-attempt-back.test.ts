import { create } from '@bufbuild/protobuf';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ownerKey } from '../../client/derive.ts';
import { EraseRecordRequestSchema } from '../../proto/gen/backupvault/v1/vault_pb.ts';
import { eraseTranscript, replaceTranscript } from '../../protocol/transcripts.ts';
import { guess } from './support/attempt.ts';
import { type Draft, draftEnrolment, enrolled, finishRequest } from './support/draft.ts';
import { refusalOf } from './support/refusals.ts';
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
  const subRecords = (await world.store.record(victim.rid))?.subRecords ?? [];
  const tokens = world.watchTokens();

  for (const code of ['one code', 'another code']) expect(await tryCode(victim, code)).toBe('ACCEPTED');
  expect(await erase(victim)).toBe('ACCEPTED');

  // Over a tombstone nobody need agree: the frontend's own generation, named as the victim's first, with an owner key that it knows.
  const own = await draftEnrolment(world, recordId, { limit: LIMIT, g: first.g, previous: victim.g });
  expect(await refusalOf(world.frontend().finishEnrollment(await finishRequest(world, own)))).toBe('ACCEPTED');
  const { fleet, epoch } = world.statement;
  const { rid, g, bodyHash } = victim;
  const ownerSignature = ownerKey(own.backupKey, rid).sign(replaceTranscript({ fleet, epoch, rid, g }, first.g, bodyHash));
  expect(await refusalOf(world.frontend().finishEnrollment({ ...relayed, ownerSignature }))).toBe('TICKET_REFUSED');
  expect(await tryCode(victim, 'a third code')).toBe('GENERATION_UNKNOWN');

  for (const { index, wrappedKey } of subRecords) expect(tokens[index - 1]?.pointsUnder(wrappedKey).size).toBe(2 * LIMIT); // P and P+G for each
});
