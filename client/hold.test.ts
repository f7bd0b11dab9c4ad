import { randomBytes } from '@noble/hashes/utils.js';
import { beforeEach, describe, expect, test } from 'vitest';
import { VaultError } from '../primitives/errors.ts';
import { SecretBytes } from '../primitives/secret-bytes.ts';
import { CODE, clientOf, InstantClock, quickHash, RECORD } from '../test/harness/soft-client.ts';
import { SoftFleet } from '../test/harness/soft-fleet.ts';
import { type BlindStore, memoryBlindStore } from './blinds.ts';
import type { VaultTransport } from './transport.ts';
import { VaultClient } from './vault-client.ts';

// A record with a hold: the right code is proved, and the backup key comes when the hold is over, or at once if its owner says so, or never.

const HOLD = 24 * 60 * 60 * 1000;
let fleet: SoftFleet;
let backupKey: SecretBytes;

beforeEach(async () => {
  fleet = new SoftFleet();
  fleet.now = new InstantClock().now();
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
  const { held } = await clientOf(fleet).describe(RECORD);
  expect(held).toHaveLength(1);
  return { recordId: RECORD, backupKey, held: held[0] as (typeof held)[number] };
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

describe('what nobody signed', () => {
  const transport = (replies: Partial<VaultTransport>): VaultTransport =>
    new Proxy(fleet, { get: (_, name: keyof VaultTransport) => replies[name] ?? fleet[name].bind(fleet) }) as unknown as VaultTransport;
  const deviceOn = (relay: VaultTransport) => {
    const { name, policy } = fleet;
    const common = { clock: new InstantClock(), argon2id: quickHash, tenant: SoftFleet.tenant };
    return new VaultClient({ ...common, transport: relay, policy, fleet: name });
  };

  test.each(['VETOED', 'PROOF_CONFLICT', 'ATTEMPT_UNKNOWN'] as const)(
    '%s by one coordinator ends nothing: another is asked',
    async (code) => {
      const device = deviceOn(
        transport({
          finishRecovery: async (request) => {
            if (request.turn === 0) throw new VaultError(code, 'so it says');
            return fleet.finishRecovery(request);
          },
        }),
      );
      await expect(recover(device)).rejects.toMatchObject({ code: 'HELD' });
      fleet.now += HOLD;
      expect((await recover(device)).backupKey.expose()).toEqual(backupKey.expose());
    },
  );

  test('a hold by another key is none, and a decision by another one counts for nobody', async () => {
    await expect(recover()).rejects.toMatchObject({ code: 'HELD' });
    const decision = await heldAttempt();
    fleet.tamper.finishRecovery = ({ held }) => {
      for (const each of held) each.signature = new Uint8Array(64).fill(1);
    };
    await expect(recover()).rejects.toMatchObject({ code: 'NOT_ENOUGH_REPLICAS' });
    fleet.tamper.decideHold = ({ decided }) => {
      for (const each of decided) if (each.index > 1) each.signature = new Uint8Array(64).fill(1);
    };
    expect(await clientOf(fleet).veto(decision)).toMatchObject({ by: [1], isFinal: 'too few' });
  });

  test('one holder’s word moves neither number nor time of what others tell, and hides nothing', async () => {
    await expect(recover()).rejects.toMatchObject({ code: 'HELD' });
    fleet.tamper.describeRecord = ({ held }) => {
      const [first] = held as [(typeof held)[number]];
      Object.assign(first, { attempt: 2, untilMs: BigInt(fleet.now + 1000 * HOLD) });
      held.push({ ...first, attempt: 2 ** 32 - 1 }, { ...first, untilMs: 2n ** 63n }, { ...first, pointHash: new Uint8Array(3) });
    };
    const { held } = await clientOf(fleet).describe(RECORD);
    expect(held).toHaveLength(1);
    expect(held[0]).toMatchObject({ attempt: 1, until: fleet.now + HOLD, held: [1, 2, 3] });
  });

  test('a time that a liar among t signed is not told', async () => {
    fleet.silent.add(3);
    const far = BigInt(fleet.now + 1000 * HOLD);
    const heldUntil = fleet.replica(1).heldUntil.bind(fleet.replica(1));
    fleet.replica(1).heldUntil = (statement, hashed, request) => heldUntil(statement, hashed, request, Number(far));
    await expect(recover()).rejects.toMatchObject({ code: 'HELD', details: { notBefore: fleet.now + HOLD } });
  });
});

test('the device that recovers and those that are told of it show the same fingerprint', async () => {
  const error = await recover().catch((thrown: unknown) => thrown);
  const { held } = await heldAttempt();
  expect(held.fingerprint).toMatch(/^[0-9a-f]{4} [0-9a-f]{4}$/);
  expect((error as VaultError).details.fingerprint).toBe(held.fingerprint);
});

test('what is held in a fleet that is being replaced is told, and vetoed there', async () => {
  const fresh = new SoftFleet({ epoch: 2 });
  const policy = { kind: 'pinned', statementHashes: [fleet.statement.hash, fresh.statement.hash] } as const;
  const common = { clock: new InstantClock(), argon2id: quickHash, tenant: SoftFleet.tenant, fleet: fleet.name, policy };
  const device = () => new VaultClient({ ...common, transport: fresh, draining: { transport: fleet, epochLeast: 1 } });
  const phisher = device();
  await expect(recover(phisher)).rejects.toMatchObject({ code: 'HELD' });
  const { held } = await device().describe(RECORD);
  expect(held).toMatchObject([{ fleet: 'old', attempt: 1 }]);
  const decision = { recordId: RECORD, backupKey, held: held[0] as (typeof held)[number] };
  expect(await device().veto(decision)).toMatchObject({ by: [1, 2, 3], isFinal: 'final' });
  fleet.now += HOLD;
  await expect(recover(phisher)).rejects.toMatchObject({ code: 'VETOED' });
  await expect(clientOf(fleet).veto({ ...decision, held: { ...decision.held, fleet: 'old' } })).rejects.toMatchObject({
    code: 'RECORD_UNKNOWN',
  });
});
