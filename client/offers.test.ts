import { fromBinary, toJsonString } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { VaultError } from '../primitives/errors.ts';
import { BeginEnrollmentRequestSchema, type BeginEnrollmentResponse } from '../proto/gen/backupvault/v1/vault_pb.ts';
import { CODE, clientOf, enrolInput, InstantClock, RECORD } from '../test/harness/soft-client.ts';
import { SoftFleet } from '../test/harness/soft-fleet.ts';

// A coordinator hands on the offers of the replicas. One that leaves some out makes a record that survives less.

/** At each turn another replica coordinates: which offers the coordinator of each turn hands on, where not all. */
function drop(fleet: SoftFleet, handedOn: readonly (readonly number[])[]): void {
  fleet.tamper.beginEnrollment = (reply, { turn }) => {
    reply.offers = reply.offers.filter(({ ticket }) => handedOn[turn]?.includes(ticket?.index as number) ?? true);
  };
}

const asked = (fleet: SoftFleet) => fleet.received('beginEnrollment').map((bytes) => fromBinary(BeginEnrollmentRequestSchema, bytes));
const turns = (fleet: SoftFleet) => asked(fleet).map(({ turn }) => turn);

describe('every offer that can be had', () => {
  test('comes in one reply where all replicas are there', async () => {
    const fleet = new SoftFleet({ replicas: 5 });
    await clientOf(fleet).enroll(enrolInput());
    expect(turns(fleet)).toEqual([0]);
  });

  test('is asked of another coordinator where one is missing', async () => {
    const fleet = new SoftFleet();
    const input = enrolInput();
    drop(fleet, [[1, 3]]);
    expect(await clientOf(fleet).enroll(input)).toMatchObject({ holders: [1, 2, 3] });
    expect(turns(fleet)).toEqual([0, 1]);
    expect((await clientOf(fleet).recover({ recordId: RECORD, code: CODE })).backupKey.expose()).toEqual(input.backupKey.expose());
  });

  test('is had from as many coordinators as there are hostile ones, and one', async () => {
    const fleet = new SoftFleet({ replicas: 7 });
    const kept = [1, 2, 3, 4];
    drop(fleet, [kept, kept, kept]);
    expect(await clientOf(fleet).enroll(enrolInput())).toMatchObject({ holders: [1, 2, 3, 4, 5, 6, 7] });
    expect(turns(fleet)).toEqual([0, 1, 2, 3]);
  });

  test('is put together of what several coordinators handed on', async () => {
    const fleet = new SoftFleet({ replicas: 5 });
    const input = enrolInput();
    drop(fleet, [[1], [2, 3], [4, 5]]);
    expect(await clientOf(fleet).enroll(input)).toMatchObject({ holders: [1, 2, 3, 4, 5] });
    expect((await clientOf(fleet).recover({ recordId: RECORD, code: CODE })).backupKey.expose()).toEqual(input.backupKey.expose());
  });

  test('is asked for with the same bytes, but for the turn', async () => {
    const fleet = new SoftFleet({ replicas: 5 });
    fleet.silent.add(2);
    await clientOf(fleet).enroll(enrolInput());
    expect(turns(fleet)).toEqual([0, 1, 2]);
    expect(new Set(asked(fleet).map((request) => toJsonString(BeginEnrollmentRequestSchema, { ...request, turn: 0 }))).size).toBe(1);
  });

  test('of forged ones, too: another coordinator has the true ones', async () => {
    const fleet = new SoftFleet();
    fleet.tamper.beginEnrollment = (reply, { turn }) => {
      if (turn === 0) for (const offer of reply.offers) offer.signature = new Uint8Array(64);
    };
    expect(await clientOf(fleet).enroll(enrolInput())).toMatchObject({ holders: [1, 2, 3] });
  });
});

describe('a replica that is down', () => {
  test('costs one round trip more: the others are asked at once, and none waits', async () => {
    const fleet = new SoftFleet({ replicas: 9 });
    const clock = new InstantClock();
    fleet.silent.add(4);
    const { beginEnrollment } = fleet;
    const others: (() => void)[] = [];
    fleet.beginEnrollment = async (request) => {
      const reply = await beginEnrollment.call(fleet, request);
      if (request.turn === 0) return reply;
      return new Promise<BeginEnrollmentResponse>((resolve) => {
        others.push(() => resolve(reply));
        if (others.length === 4) for (const answer of others) answer(); // and not before all four were asked
      });
    };
    expect(await clientOf(fleet, clock).enroll(enrolInput())).toMatchObject({ holders: [1, 2, 3, 5, 6, 7, 8, 9] });
    expect(turns(fleet)).toEqual([0, 1, 2, 3, 4]);
    expect(clock.slept).toBe(0);
  });

  test('and others that refuse keep nobody from enrolling with what there is', async () => {
    const fleet = new SoftFleet();
    fleet.silent.add(3);
    const { beginEnrollment } = fleet;
    fleet.beginEnrollment = async (request) => {
      if (request.turn > 0) throw new VaultError('BUSY', 'told to fail');
      return beginEnrollment.call(fleet, request);
    };
    expect(await clientOf(fleet).enroll(enrolInput())).toMatchObject({ holders: [1, 2] });
  });
});

describe('fewer holders than the app asks for', () => {
  test('are NOT_ENOUGH_REPLICAS before anything is stored', async () => {
    const fleet = new SoftFleet({ replicas: 5 });
    fleet.silent.add(1).add(2);
    await expect(clientOf(fleet).enroll(enrolInput({ holdersLeast: 4 }))).rejects.toMatchObject({
      code: 'NOT_ENOUGH_REPLICAS',
      details: { replicasAnswered: 3, replicasNeeded: 4 },
    });
    expect(fleet.received('finishEnrollment')).toEqual([]);
    fleet.silent.delete(1);
    expect(await clientOf(fleet).enroll(enrolInput({ holdersLeast: 4 }))).toMatchObject({ holders: [1, 3, 4, 5] });
  });

  test('are not what an enrolment is done with: a coordinator must not leave one out at its end', async () => {
    const fleet = new SoftFleet();
    const enrolment = await clientOf(fleet).beginEnrolment(enrolInput({ holdersLeast: 3 }));
    fleet.silent.add(2);
    await expect(enrolment.finish()).rejects.toMatchObject({
      code: 'OUTCOME_UNKNOWN',
      details: { replicasAnswered: 2, replicasNeeded: 3 },
    });
    fleet.silent.delete(2);
    expect(await enrolment.finish()).toMatchObject({ holders: [1, 2, 3] });
  });

  test('are not what a record is replaced with either, though fewer than before are allowed', async () => {
    const fleet = new SoftFleet({ replicas: 5 });
    const input = enrolInput();
    await clientOf(fleet).enroll(input);
    fleet.silent.add(1).add(2);
    const fewer = { allowFewerHolders: true, holdersLeast: 4 };
    await expect(clientOf(fleet).enroll({ ...input, ...fewer })).rejects.toMatchObject({ code: 'NOT_ENOUGH_REPLICAS' });
    expect((await clientOf(fleet).recover({ recordId: RECORD, code: CODE, ...fewer })).renewal).toMatchObject({
      state: 'failed',
      error: { code: 'NOT_ENOUGH_REPLICAS', details: { replicasAnswered: 3, replicasNeeded: 4 } },
    });
    expect(await clientOf(fleet).enroll({ ...input, allowFewerHolders: true })).toMatchObject({ holders: [3, 4, 5] });
  });

  test.each([Number.NaN, 2.5, 4, Number.POSITIVE_INFINITY])('%d of three are MALFORMED, and nobody is asked', async (holdersLeast) => {
    const fleet = new SoftFleet();
    await expect(clientOf(fleet).enroll(enrolInput({ holdersLeast }))).rejects.toMatchObject({ code: 'MALFORMED' });
    expect(fleet.received('beginEnrollment')).toEqual([]);
  });

  test('are t where it does not say', async () => {
    const fleet = new SoftFleet({ replicas: 5 });
    fleet.silent.add(1).add(2);
    expect(await clientOf(fleet).enroll(enrolInput())).toMatchObject({ holders: [3, 4, 5] });
  });
});
