import { fromBinary } from '@bufbuild/protobuf';
import { randomBytes } from '@noble/hashes/utils.js';
import { describe, expect, test } from 'vitest';
import { toHex } from '../primitives/bytes.ts';
import { SecretBytes } from '../primitives/secret-bytes.ts';
import { BeginEnrollmentRequestSchema } from '../proto/gen/backupvault/v1/vault_pb.ts';
import { CODE, clientOf, enrolInput, RECORD } from '../test/harness/soft-client.ts';
import { SoftFleet } from '../test/harness/soft-fleet.ts';

// Replicas that restarted between the two calls of an enrolment know their tickets no more.

/** Every begun enrolment, as it arrived. */
const begun = (fleet: SoftFleet) => fleet.received('beginEnrollment').map((bytes) => fromBinary(BeginEnrollmentRequestSchema, bytes));

/** Restarts the whole fleet after the next `times` offers. */
function restartAfterOffers(fleet: SoftFleet, times: number): void {
  let left = times;
  fleet.tamper.beginEnrollment = () => {
    if (left-- > 0) fleet.restart();
  };
}

describe('a fleet that restarted between the two calls', () => {
  test('stores the backup key all the same, with no word to the user', async () => {
    const fleet = new SoftFleet();
    restartAfterOffers(fleet, 1);
    const steps: string[] = [];
    const input = enrolInput({ progress: (step) => steps.push(step) });
    const { g, holders } = await clientOf(fleet).enroll(input);
    expect(holders).toEqual([1, 2, 3]);
    expect(toHex(g)).toBe(toHex(fleet.bodyOf(RECORD).body.g));
    expect(steps).toEqual(['describing', 'asking', 'stretching', 'storing']);
    expect((await clientOf(fleet).recover({ recordId: RECORD, code: CODE })).backupKey.expose()).toEqual(input.backupKey.expose());
  });

  test('is asked for a generation that has nothing of the first', async () => {
    const fleet = new SoftFleet();
    restartAfterOffers(fleet, 1);
    await clientOf(fleet).enroll(enrolInput());
    const [first, second, ...others] = begun(fleet);
    expect(others).toEqual([]);
    for (const field of ['g', 'point', 'proofKey'] as const)
      expect(toHex(first?.[field] as Uint8Array)).not.toBe(toHex(second?.[field] as Uint8Array));
  });

  test('replaces what the first should have replaced', async () => {
    const fleet = new SoftFleet();
    const input = enrolInput();
    const { g } = await clientOf(fleet).enroll(input);
    restartAfterOffers(fleet, 1);
    await clientOf(fleet).enroll({ ...input, code: '271828' });
    expect(toHex(fleet.bodyOf(RECORD).body.previous)).toBe(toHex(g));
  });

  test('is no matter to a renewal', async () => {
    const fleet = new SoftFleet();
    await clientOf(fleet).enroll(enrolInput());
    restartAfterOffers(fleet, 1);
    expect((await clientOf(fleet).recover({ recordId: RECORD, code: CODE })).renewal).toMatchObject({ state: 'renewed' });
  });

  test('gets what was meant, though the app has wiped the backup key meanwhile', async () => {
    const fleet = new SoftFleet();
    const key = randomBytes(32);
    const backupKey = new SecretBytes(key);
    const enrolment = await clientOf(fleet).beginEnrolment(enrolInput({ backupKey }));
    backupKey.wipe();
    fleet.restart();
    expect(toHex((await enrolment.finish()).g)).toBe(toHex(enrolment.g));
    expect((await clientOf(fleet).recover({ recordId: RECORD, code: CODE })).backupKey.expose()).toEqual(key);
  });

  test('is asked once, however often the app finishes at once', async () => {
    const fleet = new SoftFleet();
    const enrolment = await clientOf(fleet).beginEnrolment(enrolInput());
    fleet.restart();
    const [a, b] = await Promise.all([enrolment.finish(), enrolment.finish()]);
    expect(a).toBe(b);
    expect(begun(fleet).length).toBe(2);
  });
});

test('tickets that ran out while the device slept are a reason, too', async () => {
  const fleet = new SoftFleet();
  fleet.fail('finishEnrollment', 'TICKET_EXPIRED');
  expect(await clientOf(fleet).enroll(enrolInput())).toMatchObject({ holders: [1, 2, 3] });
  expect(begun(fleet).length).toBe(2);
});

test('replicas that restarted are no reason while t others did not', async () => {
  const fleet = new SoftFleet();
  const enrolment = await clientOf(fleet).beginEnrolment(enrolInput());
  fleet.replica(1).restart();
  expect(await enrolment.finish()).toMatchObject({ holders: [2, 3] });
  expect(begun(fleet).length).toBe(1);
});

describe('it happens once', () => {
  test('and then the app is told', async () => {
    const fleet = new SoftFleet();
    restartAfterOffers(fleet, 9);
    await expect(clientOf(fleet).enroll(enrolInput())).rejects.toMatchObject({ code: 'TICKET_REFUSED' });
    expect(begun(fleet).length).toBe(2);
  });

  test('however often the app finishes', async () => {
    const fleet = new SoftFleet();
    const enrolment = await clientOf(fleet).beginEnrolment(enrolInput());
    fleet.fail('finishEnrollment', ...Array.from({ length: 9 }, () => 'TICKET_EXPIRED' as const));
    for (let i = 0; i < 3; i++) await expect(enrolment.finish()).rejects.toMatchObject({ code: 'TICKET_EXPIRED' });
    expect(begun(fleet).length).toBe(2);
  });

  test('also where it fails', async () => {
    const fleet = new SoftFleet();
    const enrolment = await clientOf(fleet).beginEnrolment(enrolInput());
    fleet.restart();
    fleet.fail('beginEnrollment', 'GRANT_REFUSED');
    await expect(enrolment.finish()).rejects.toMatchObject({ code: 'GRANT_REFUSED' });
    await expect(enrolment.finish()).rejects.toMatchObject({ code: 'TICKET_REFUSED' });
    expect(begun(fleet).length).toBe(2);
  });
});

describe('never while the first may have been committed', () => {
  test.each(['OUTCOME_UNKNOWN', 'NOT_ENOUGH_REPLICAS', 'STORE_UNAVAILABLE', 'TOKEN_UNAVAILABLE', 'BUSY'] as const)(
    'as when a call before the refusal ended with %s',
    async (code) => {
      const fleet = new SoftFleet();
      fleet.fail('finishEnrollment', code, 'TICKET_REFUSED');
      await expect(clientOf(fleet).enroll(enrolInput())).rejects.toMatchObject({ code: 'TICKET_REFUSED' });
      expect(begun(fleet).length).toBe(1);
    },
  );

  test.each(['INTERNAL', 'GENERATION_CONFLICT', 'STATEMENT_MISMATCH'] as const)('as when the app was told %s before', async (code) => {
    const fleet = new SoftFleet();
    const enrolment = await clientOf(fleet).beginEnrolment(enrolInput());
    fleet.fail('finishEnrollment', code, 'TICKET_REFUSED');
    await expect(enrolment.finish()).rejects.toMatchObject({ code });
    await expect(enrolment.finish()).rejects.toMatchObject({ code: 'TICKET_REFUSED' });
    expect(begun(fleet).length).toBe(1);
  });

  /** The fleet stores the generation, its reply is lost, and the next call is refused. */
  function loseThenRefuse(fleet: SoftFleet): void {
    fleet.lose('finishEnrollment');
    fleet.tamper.finishEnrollment = () => {
      fleet.fail('finishEnrollment', 'TICKET_REFUSED');
      delete fleet.tamper.finishEnrollment;
    };
  }

  test('as when a reply was lost before it, and then it is found to be stored', async () => {
    const fleet = new SoftFleet();
    const enrolment = await clientOf(fleet).beginEnrolment(enrolInput());
    const { g } = enrolment;
    loseThenRefuse(fleet);
    await expect(enrolment.finish()).rejects.toMatchObject({ code: 'TICKET_REFUSED' });
    fleet.restart();
    expect(await enrolment.finish()).toMatchObject({ g, holders: [1, 2, 3] });
    expect(begun(fleet).length).toBe(1);
  });

  test('as when too few replicas signed before it', async () => {
    const fleet = new SoftFleet();
    fleet.tamper.finishEnrollment = (reply) => {
      reply.enrolled = reply.enrolled.slice(0, 1);
      fleet.fail('finishEnrollment', 'TICKET_REFUSED');
    };
    await expect(clientOf(fleet).enroll(enrolInput())).rejects.toMatchObject({ code: 'TICKET_REFUSED' });
    expect(begun(fleet).length).toBe(1);
  });

  test('and a renewal then says that it is unknown', async () => {
    const fleet = new SoftFleet();
    await clientOf(fleet).enroll(enrolInput());
    loseThenRefuse(fleet);
    const { renewal } = await clientOf(fleet).recover({ recordId: RECORD, code: CODE });
    if (renewal.state !== 'unknown') throw new Error(renewal.state);
    expect(renewal).toMatchObject({ error: { code: 'TICKET_REFUSED' } });
    expect(await renewal.enrolment.finish()).toMatchObject({ holders: [1, 2, 3] });
    expect(begun(fleet).length).toBe(2);
  });
});
