import { create } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { type ErrorCode, VaultError } from '../primitives/errors.ts';
import {
  type BeginRecoveryRequest,
  BeginRecoveryRequestSchema,
  type BeginRecoveryResponse,
  BeginRecoveryResponseSchema,
} from '../proto/gen/backupvault/v1/vault_pb.ts';
import { CODE, clientOf, enrolInput, InstantClock, RECORD, WRONG } from '../test/harness/soft-client.ts';
import { SoftFleet } from '../test/harness/soft-fleet.ts';

// A coordinator with a token of its own gathers t answers with a false one among them, leaves the other holders out, and says that nobody is
// silent: the right code looks wrong. The SDK believes no single one of them.

const recovery = { recordId: RECORD, code: CODE, renew: false };

/** What the coordinator of a turn answers where it is asked; `truly` is what an honest one would. */
type Coordinator = (truly: () => Promise<BeginRecoveryResponse>) => Promise<BeginRecoveryResponse>;

const honest: Coordinator = (truly) => truly();

const leavesOut =
  (...indices: number[]): Coordinator =>
  async (truly) => {
    const reply = await truly();
    reply.evaluations = reply.evaluations.filter(({ index }) => !indices.includes(index));
    reply.silent = [];
    return reply;
  };

const says =
  (code: ErrorCode): Coordinator =>
  async () => {
    throw new VaultError(code, 'So the coordinator says.');
  };

const showsNothing: Coordinator = async (truly) => {
  const { body, attempt } = await truly();
  return create(BeginRecoveryResponseSchema, { ...(body ? { body } : {}), attempt });
};

/** A fleet with an enrolled record, some replicas of which lie from then on, and who coordinates at each turn: after the last, honest ones. */
async function fleetOf(replicas: number, { liars = [1] }: { liars?: number[] }, ...coordinators: Coordinator[]) {
  const fleet = new SoftFleet({ replicas });
  const clock = new InstantClock();
  const client = clientOf(fleet, clock);
  const input = enrolInput();
  await client.enroll(input);
  for (const index of liars) fleet.replica(index).lies = true;
  const turns: number[] = [];
  const truly = fleet.beginRecovery.bind(fleet);
  fleet.beginRecovery = async (request: BeginRecoveryRequest) => {
    turns.push(request.turn);
    return (coordinators[request.turn] ?? honest)(() => truly(request));
  };
  return { fleet, clock, client, turns, input };
}

describe('a right code that a coordinator makes look wrong', () => {
  test.each([
    [3, [1], [leavesOut(3)]],
    [5, [1, 2], [leavesOut(4, 5), leavesOut(3, 5)]],
  ])('is right once an honest one of t was asked, at once and for nothing: %i replicas', async (replicas, liars, coordinators) => {
    const { fleet, clock, client, turns, input } = await fleetOf(replicas, { liars }, ...coordinators);
    const { backupKey, attempt } = await client.recover(recovery);
    expect(backupKey.expose()).toEqual(input.backupKey.expose());
    expect(turns).toEqual([0, ...coordinators.map((_, i) => i + 1)]);
    expect([attempt, fleet.attemptsOf(RECORD), clock.slept]).toEqual([1, 1, 0]);
  });

  test('is right by what several heard together', async () => {
    const { client, turns } = await fleetOf(3, {}, leavesOut(3), leavesOut(2));
    expect(await client.recover(recovery)).toMatchObject({ attempt: 1 });
    expect(turns).toEqual([0, 1]);
  });

  test('is right by what several heard together under different numbers', async () => {
    const renumbered: Coordinator = async (truly) => {
      const reply = await leavesOut(3)(truly);
      const { point } = fleet.lastReceived('beginRecovery', BeginRecoveryRequestSchema);
      const hashed = fleet.bodyOf(RECORD);
      reply.attempt = 2;
      reply.evaluations = [1, 2].map((index) => fleet.replica(index).evaluate(fleet.statement, hashed, { attempt: 2, used: 2 }, point));
      return reply;
    };
    const { fleet, client } = await fleetOf(3, {}, renumbered, leavesOut(2));
    expect(await client.recover(recovery)).toMatchObject({ attempt: 1 });
  });

  test.each<ErrorCode>(['ERASED', 'EXHAUSTED', 'GENERATION_UNKNOWN', 'COOLING_DOWN', 'STATEMENT_MISMATCH', 'INTERNAL'])(
    'is right though the next one says %s',
    async (code) => {
      const { clock, client, turns } = await fleetOf(5, { liars: [1, 2] }, leavesOut(4, 5), says(code));
      expect(await client.recover(recovery)).toMatchObject({ attempt: 1 });
      expect(turns).toEqual([0, 1, 2]);
      expect(clock.slept).toBe(0);
    },
  );

  test('is right though the next one shows nothing for what it says', async () => {
    const { client, turns } = await fleetOf(5, { liars: [1, 2] }, leavesOut(4, 5), showsNothing);
    expect(await client.recover(recovery)).toMatchObject({ attempt: 1 });
    expect(turns).toEqual([0, 1, 2]);
  });

  test('is right though the next one shows a record of an epoch that is served no more', async () => {
    const ofAnotherEpoch: Coordinator = async (truly) => {
      const reply = await truly();
      if (reply.body) reply.body.epoch = 0n;
      return reply;
    };
    const { client, turns } = await fleetOf(5, { liars: [1, 2] }, leavesOut(4, 5), ofAnotherEpoch);
    expect(await client.recover(recovery)).toMatchObject({ attempt: 1 });
    expect(turns).toEqual([0, 1, 2]);
  });

  test('is right though the reply of the next one is lost', async () => {
    const { fleet, client, turns } = await fleetOf(3, {}, leavesOut(3), (truly) => {
      if (turns.length === 2) fleet.lose('beginRecovery');
      return truly();
    });
    expect(await client.recover(recovery)).toMatchObject({ attempt: 1 });
    expect(turns).toEqual([0, 1, 1]);
  });
});

describe('a code that is wrong', () => {
  test('is asked of nobody else once every holder answered', async () => {
    const { client, turns } = await fleetOf(5, { liars: [] });
    await expect(client.recover({ ...recovery, code: WRONG })).rejects.toMatchObject({ code: 'WRONG_CODE' });
    expect(turns).toEqual([0]);
  });

  test.each([
    [3, [0, 1]],
    [4, [0, 1, 2]],
    [5, [0, 1, 2]],
  ])('is asked of t coordinators of %i where one is missing, and is wrong with a doubt', async (replicas, expected) => {
    const coordinators = expected.map(() => leavesOut(replicas));
    const { fleet, clock, client, turns } = await fleetOf(replicas, { liars: [] }, ...coordinators);
    await expect(client.recover({ ...recovery, code: WRONG })).rejects.toMatchObject({
      code: 'WRONG_CODE',
      details: { attemptsUsed: 1, replicasAnswered: replicas - 1, replicasNeeded: replicas },
    });
    expect(turns).toEqual(expected);
    expect(clock.slept).toBe(0);
    expect(fleet.attemptsOf(RECORD)).toBe(1);
  });

  test('is asked of those t alone where some of them were asked for a silent holder', async () => {
    const { fleet, clock, client, turns } = await fleetOf(9, { liars: [] });
    fleet.silent.add(9);
    await expect(client.recover({ ...recovery, code: WRONG })).rejects.toMatchObject({ details: { replicasAnswered: 8 } });
    expect(turns).toEqual([0, 1, 2, 3, 4]);
    expect(clock.slept).toBe(2500);
  });

  // t holders signed what they answered: what one coordinator says for itself afterwards, or does not say, makes that no less true.
  test.each<ErrorCode>(['NOT_ENOUGH_REPLICAS', 'OUTCOME_UNKNOWN', 'ATTEMPT_CONFLICT', 'ERASED', 'STATEMENT_MISMATCH', 'REPLY_UNTRUSTED'])(
    'is wrong, with a doubt, though all others say %s; and the same code costs nothing',
    async (code) => {
      const coordinators = Array.from({ length: 8 }, () => says(code));
      const { fleet, client } = await fleetOf(3, {}, leavesOut(3), ...coordinators);
      await expect(client.recover(recovery)).rejects.toMatchObject({
        code: 'WRONG_CODE',
        details: { attemptsUsed: 1, replicasAnswered: 2, replicasNeeded: 3 },
      });
      coordinators.length = 0;
      fleet.replica(1).lies = false;
      expect(await client.recover(recovery)).toMatchObject({ attempt: 1 });
    },
  );
});
