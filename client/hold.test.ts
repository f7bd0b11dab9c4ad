import { randomBytes } from '@noble/hashes/utils.js';
import { beforeEach, expect, test } from 'vitest';
import { SecretBytes } from '../primitives/secret-bytes.ts';
import { CODE, clientOf, InstantClock, quickHash, RECORD } from '../test/harness/soft-client.ts';
import { SoftFleet } from '../test/harness/soft-fleet.ts';
import { type BlindStore, memoryBlindStore } from './blinds.ts';
import { VaultClient } from './vault-client.ts';

// A record with a hold: the right code is proved, and the backup key comes when the hold is over, or at once if its owner says so, or never.

const HOLD = 24 * 60 * 60 * 1000;
let fleet: SoftFleet;
let backupKey: SecretBytes;

beforeEach(async () => {
  fleet = new SoftFleet();
  backupKey = new SecretBytes(randomBytes(32));
  await clientOf(fleet).enroll({ recordId: RECORD, code: CODE, backupKey, policy: { limit: 3, coolDownMs: 0, holdMs: HOLD } });
});

const recover = (client = clientOf(fleet)) => client.recover({ recordId: RECORD, code: CODE, renew: false });

function keeping(blinds: BlindStore): VaultClient {
  const { name, policy } = fleet;
  const common = { clock: new InstantClock(), argon2id: quickHash, tenant: SoftFleet.tenant };
  return new VaultClient({ ...common, transport: fleet, policy, fleet: name, blinds });
}

/** What `describe` tells of the one attempt that is held. */
async function heldAttempt() {
  const { g, held } = await clientOf(fleet).describe(RECORD);
  expect(held).toHaveLength(1);
  const [{ attempt, pointHash, blindedBase }] = held as [(typeof held)[number]];
  return { recordId: RECORD, backupKey, g, attempt, pointHash, blindedBase };
}

test('the right code is held, and says until when; the same code then opens the record, at no further attempt', async () => {
  const client = clientOf(fleet);
  await expect(recover(client)).rejects.toMatchObject({ code: 'HELD', details: { notBefore: fleet.now + HOLD } });
  fleet.now += HOLD - 1;
  await expect(recover(client)).rejects.toMatchObject({ code: 'HELD' });
  fleet.now += 1;
  expect((await recover(client)).backupKey.expose()).toEqual(backupKey.expose());
  expect(fleet.attemptsOf(RECORD)).toBe(1);
});

test('also after a restart of the app, which keeps its blinds: it is the same proof', async () => {
  const blinds = memoryBlindStore();
  await expect(recover(keeping(blinds))).rejects.toMatchObject({ code: 'HELD' });
  fleet.now += HOLD;
  expect((await recover(keeping(blinds))).backupKey.expose()).toEqual(backupKey.expose());
  expect(fleet.attemptsOf(RECORD)).toBe(1);
});

test('another device that has the backup key is told of it, and lets it go at once', async () => {
  const client = clientOf(fleet);
  await expect(recover(client)).rejects.toMatchObject({ code: 'HELD' });
  expect(await clientOf(fleet).approve(await heldAttempt())).toMatchObject({ by: [1, 2, 3], isFinal: 'final' });
  expect((await recover(client)).backupKey.expose()).toEqual(backupKey.expose());
});

test('or vetoes it: then it opens nothing, also when the hold is over, and the owner recovers by an attempt of their own', async () => {
  const phisher = clientOf(fleet);
  await expect(recover(phisher)).rejects.toMatchObject({ code: 'HELD' });
  const held = await heldAttempt();
  expect(await clientOf(fleet).veto(held)).toMatchObject({ by: [1, 2, 3] });
  fleet.now += HOLD;
  await expect(recover(phisher)).rejects.toMatchObject({ code: 'VETOED' });
  await expect(clientOf(fleet).approve(held)).rejects.toMatchObject({ code: 'VETOED' });
  const owner = clientOf(fleet);
  await expect(recover(owner)).rejects.toMatchObject({ code: 'HELD' });
  fleet.now += HOLD;
  expect((await recover(owner)).attempt).toBe(2);
});

test('nobody decides without the backup key', async () => {
  await expect(recover()).rejects.toMatchObject({ code: 'HELD' });
  const held = { ...(await heldAttempt()), backupKey: new SecretBytes(randomBytes(32)) };
  await expect(clientOf(fleet).veto(held)).rejects.toMatchObject({ code: 'OWNER_REFUSED' });
  await expect(clientOf(fleet).approve(held)).rejects.toMatchObject({ code: 'OWNER_REFUSED' });
});
