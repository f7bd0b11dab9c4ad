import { randomBytes } from '@noble/hashes/utils.js';
import { describe, expect, test } from 'vitest';
import { toHex } from '../primitives/bytes.ts';
import type { ErrorCode } from '../primitives/errors.ts';
import { SecretBytes } from '../primitives/secret-bytes.ts';
import { CODE, clientOf, enrolInput, InstantClock, quickHash, RECORD, WRONG } from '../test/harness/soft-client.ts';
import { SoftFleet } from '../test/harness/soft-fleet.ts';
import { Blinds, memoryBlindStore } from './blinds.ts';
import { VaultClient } from './vault-client.ts';

const [rid, g] = [randomBytes(32), randomBytes(16)];
const input = new SecretBytes(randomBytes(32));
const pointOf = async (blinds: Blinds, from = input, of = g) => toHex((await blinds.blind(rid, of, from)).point);

describe('a blind', () => {
  test('is the same for the same code and generation, also from what an app kept', async () => {
    const store = memoryBlindStore();
    const point = await pointOf(new Blinds(store));
    expect(await pointOf(new Blinds(store))).toBe(point);
  });

  test('is another one for another code, another generation, or another device', async () => {
    const blinds = new Blinds(memoryBlindStore());
    const points = [
      await pointOf(blinds),
      await pointOf(blinds, new SecretBytes(randomBytes(32))),
      await pointOf(blinds, input, randomBytes(16)),
      await pointOf(new Blinds(memoryBlindStore())),
    ];
    expect(new Set(points).size).toBe(4);
  });

  test('is forgotten with the secret that made it', async () => {
    const blinds = new Blinds(memoryBlindStore());
    const point = await pointOf(blinds);
    await blinds.drop(rid, g);
    expect(await blinds.knows(rid, g)).toBe(false);
    expect(await pointOf(blinds)).not.toBe(point);
  });

  test('is of no secret of another length', async () => {
    const store = { ...memoryBlindStore(), load: async () => new Uint8Array(31) };
    await expect(pointOf(new Blinds(store))).rejects.toMatchObject({ code: 'MALFORMED' });
  });
});

const recovery = { recordId: RECORD, code: CODE, renew: false } as const;

async function enrolled() {
  const fleet = new SoftFleet();
  await clientOf(fleet).enroll(enrolInput());
  return fleet;
}

/** Nothing else in the request changes. */
const pointsSent = (fleet: SoftFleet) => new Set(fleet.received('beginRecovery').map(toHex)).size;

describe('P5: what a coordinator says without signatures costs no guess', () => {
  test.each<ErrorCode>(['GENERATION_UNKNOWN', 'RECORD_UNKNOWN', 'EXHAUSTED', 'ERASED'])(
    'not after the attempt was counted and it said %s',
    async (code) => {
      const fleet = await enrolled();
      const client = clientOf(fleet);
      for (let i = 0; i < 3; i++) {
        fleet.lose('beginRecovery', 4); // counted, and the reply withheld
        await expect(client.recover(recovery)).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' });
        fleet.fail('beginRecovery', code);
        await expect(client.recover(recovery)).rejects.toMatchObject({ code });
      }
      expect((await client.recover(recovery)).attempt).toBe(1);
      expect(fleet.attemptsOf(RECORD)).toBe(1);
      expect(pointsSent(fleet)).toBe(1);
    },
  );

  test('not where it says that every attempt is spent', async () => {
    const fleet = await enrolled();
    const client = clientOf(fleet);
    fleet.lose('beginRecovery', 4);
    await expect(client.recover(recovery)).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' });
    fleet.fail('beginRecovery', 'EXHAUSTED');
    await expect(client.recover(recovery)).rejects.toMatchObject({ code: 'EXHAUSTED' });
    fleet.tamper.describeRecord = (reply) => {
      reply.state = 2;
      reply.attemptsUsed = reply.attemptsLimit;
    };
    expect((await client.recover(recovery)).attempt).toBe(1);
  });

  test('not after a restart, where the app keeps what blinds are made of', async () => {
    const fleet = await enrolled();
    const blinds = memoryBlindStore();
    const { name, policy } = fleet;
    const device = () =>
      new VaultClient({
        ...{ transport: fleet, policy, fleet: name, tenant: SoftFleet.tenant },
        ...{ clock: new InstantClock(), argon2id: quickHash, blinds },
      });
    fleet.lose('beginRecovery', 4);
    await expect(device().recover(recovery)).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' });
    expect((await device().recover(recovery)).attempt).toBe(1);
    expect(fleet.attemptsOf(RECORD)).toBe(1);
  });

  test('nor does the same wrong code, entered again', async () => {
    const fleet = await enrolled();
    const client = clientOf(fleet);
    for (let i = 0; i < 3; i++) await expect(client.recover({ ...recovery, code: WRONG })).rejects.toMatchObject({ code: 'WRONG_CODE' });
    expect(fleet.attemptsOf(RECORD)).toBe(1);
  });
});

test('P5: where the app says so, the code is tried anew, and that costs an attempt', async () => {
  const fleet = await enrolled();
  const client = clientOf(fleet);
  fleet.lose('beginRecovery', 4);
  await expect(client.recover(recovery)).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' });
  expect((await client.recover({ ...recovery, anew: true })).attempt).toBe(2);
  expect(pointsSent(fleet)).toBe(2);
});
