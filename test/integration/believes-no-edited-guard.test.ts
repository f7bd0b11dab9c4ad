import { create } from '@bufbuild/protobuf';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { GuardStore } from '../../daemon/ledger/guard-store.ts';
import type { Generation } from '../../daemon/ledger/guarded.ts';
import { BodySchema } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { parseBody } from '../../protocol/body.ts';
import type { SubRecord } from '../../protocol/sub-record.ts';
import { flips } from '../harness/flips.ts';
import { evaluateRequest, guess, releaseRequest, voteRequest, votes } from './support/attempt.ts';
import { CODE, type Draft, enrolled } from './support/draft.ts';
import { type OwnFleet, startOwnFleet } from './support/own-fleet.ts';
import { refusalOf } from './support/refusals.ts';
import { stolenSubRecords } from './support/stolen-guard.ts';

// Whoever has the disk of replica 1 edits its guard while it is down.

let own: OwnFleet;

beforeAll(async () => {
  own = await startOwnFleet({ etcdMembers: 1 });
});

afterAll(() => own?.stop());

/** Each of one length. The sub-record's index says nothing, a replica knows its own; its signature is for others. */
const edits = ({ index: _, signature: __, ...fields }: SubRecord) => [...flips(fields)].filter(({ path }) => !/longer|shorter/.test(path));

test('a sub-record with any field changed, or of another replica, is refused by the token’s MAC, for every use of it', async () => {
  const sample = await enrolled(own.world, 'sample');
  const [first] = await stolenSubRecords(own.world, sample);
  const paths = edits(first as SubRecord).map(({ path }) => path);
  expect(paths).toHaveLength(5); // two bits of seed and MAC, and the time
  const drafts = new Map<string, Draft>();
  for (const [i, path] of paths.entries()) drafts.set(path, await enrolled(own.world, `edited-${i}`));
  const swapped = await enrolled(own.world, 'swapped');
  const [, another] = await stolenSubRecords(own.world, swapped);
  expect(another?.index).not.toBe(1);

  await editGuard(async (store) => {
    const edit = async ({ rid }: Draft, change: (subRecord: SubRecord) => Partial<SubRecord> | undefined) => {
      const before = await store.read(rid);
      const live = before.live as Generation;
      await store.replaceLive({ ...live, subRecord: { ...live.subRecord, ...change(live.subRecord) } }, before);
    };
    for (const [path, draft] of drafts) await edit(draft, (subRecord) => edits(subRecord).find((flip) => flip.path === path)?.value);
    await edit(swapped, () => another);
  });

  for (const [path, draft] of [...drafts, ['of another replica', swapped] as const])
    expect({ path, ...(await served(draft)) }).toEqual({ path, evaluate: 'MAC_REFUSED', release: 'MAC_REFUSED' });
  expect(await served(sample)).toEqual({ evaluate: 'ACCEPTED', release: 'ACCEPTED' });
});

test('a body with a higher limit is another body, which nobody voted for', async () => {
  const draft = await enrolled(own.world, 'raised', { limit: 1 });
  await editGuard(async (store) => {
    const before = await store.read(draft.rid);
    const live = before.live as Generation;
    const raised = create(BodySchema, structuredClone(live.body));
    Object.assign(raised.policy as object, { limit: 10 });
    await store.replaceLive({ ...live, ...parseBody(raised) }, before);
  });
  expect(await served(draft)).toEqual({ evaluate: 'GENERATION_UNKNOWN', release: 'ATTEMPT_UNKNOWN' });
});

async function editGuard(edit: (store: GuardStore) => Promise<void>): Promise<void> {
  const { process, guardDirectory, guardIdentity } = own.fleet.replica(1);
  await process.stop();
  const store = await GuardStore.open(guardDirectory, guardIdentity);
  await edit(store);
  await store.close();
  await process.start();
}

/** What replica 1 says to an attempt that the two others counted, and to a device that knows the code. */
async function served(draft: Draft): Promise<{ evaluate: string; release: string }> {
  const { world } = own;
  const honest = await guess(world, draft, CODE);
  const request = voteRequest(draft, honest, 1);
  const { calls } = world.peer(1);
  const evaluate = await refusalOf(calls.evaluate(evaluateRequest(request, await votes(world, request, [2, 3]))));
  return { evaluate, release: await refusalOf(calls.release(releaseRequest(world, draft, honest, 1))) };
}
