import { describe, expect, test } from 'vitest';
import type { SecretBytes } from '../primitives/secret-bytes.ts';
import { CODE, enrolInput, InstantClock, quickHash } from '../test/harness/soft-client.ts';
import { SoftFleet } from '../test/harness/soft-fleet.ts';
import { SoftReplica } from '../test/harness/soft-replica.ts';
import { VaultClient } from './vault-client.ts';

// A fleet gets another n and another t, and people's records stay where they are.

/** A device that trusts what the fleet says of itself now. */
function clientOf(fleet: SoftFleet): VaultClient {
  const policy = { kind: 'pinned', statementHashes: [fleet.statement.hash] } as const;
  const clock = new InstantClock();
  return new VaultClient({ transport: fleet, policy, fleet: fleet.name, tenant: SoftFleet.tenant, clock, argon2id: quickHash });
}

async function enrol(fleet: SoftFleet, recordId: string): Promise<SecretBytes> {
  const input = enrolInput({ recordId });
  await clientOf(fleet).enroll(input);
  return input.backupKey;
}

const recover = (fleet: SoftFleet, recordId: string, renew = false) => clientOf(fleet).recover({ recordId, code: CODE, renew });

test('from three replicas to five and back to three, each record opens under every epoch after its own', async () => {
  const fleet = new SoftFleet();
  const keys = [await enrol(fleet, 'of-three')];
  const expectAll = async () => {
    for (const [i, recordId] of ['of-three', 'of-five', 'of-three-again'].slice(0, keys.length).entries())
      expect((await recover(fleet, recordId)).backupKey.expose(), recordId).toEqual(keys[i]?.expose());
  };
  fleet.restate([1, 2, 3, 4, 5]);
  await expectAll();
  keys.push(await enrol(fleet, 'of-five'));
  fleet.restate([1, 2, 3]);
  await expectAll();
  keys.push(await enrol(fleet, 'of-three-again'));
  fleet.restate([1, 2, 3, 6]);
  await expectAll();
});

test('a record of five needs three of them under a statement of three', async () => {
  const fleet = new SoftFleet({ replicas: 5 });
  await enrol(fleet, 'of-five');
  fleet.restate([1, 2, 3]);
  fleet.silent.add(3);
  await expect(recover(fleet, 'of-five')).rejects.toMatchObject({ code: 'NOT_ENOUGH_REPLICAS' });
});

describe('never by a t that the body claims', () => {
  test.each([
    ['the t of the statement in force, for a body of before', 2],
    ['a t that no epoch has', 4],
  ])('%s: refused', async (_, threshold) => {
    const fleet = new SoftFleet({ replicas: 5 });
    await enrol(fleet, 'of-five');
    fleet.restate([1, 2, 3]);
    fleet.tamper.beginRecovery = ({ body }) => Object.assign(body ?? {}, { threshold });
    await expect(recover(fleet, 'of-five')).rejects.toMatchObject({ code: 'REPLY_UNTRUSTED' });
  });

  test('two receipts are too few for it', async () => {
    const fleet = new SoftFleet({ replicas: 5 });
    await enrol(fleet, 'of-five');
    fleet.restate([1, 2, 3]);
    fleet.tamper.beginRecovery = (reply) => void reply.evaluations.pop();
    await expect(recover(fleet, 'of-five')).rejects.toMatchObject({ code: 'NOT_ENOUGH_REPLICAS' });
  });

  test('nobody is believed who had another receipt key then', async () => {
    const fleet = new SoftFleet();
    await enrol(fleet, 'of-three');
    const hashed = fleet.bodyOf('of-three');
    const renewed = new SoftReplica(3, fleet.name);
    fleet.replicas.splice(2, 1, renewed);
    fleet.restate();
    // It holds nothing, and signs beside one that does: two signatures of the two that a record of three takes.
    fleet.tamper.beginRecovery = (reply, { point }) => {
      const { limit } = hashed.body.policy;
      const lie = renewed.receipt(fleet.statement, hashed, { attempt: reply.attempt, used: reply.attempt, limit }, point, point.slice(1));
      reply.evaluations = [...reply.evaluations.filter(({ index }) => index === 1), lie];
    };
    await expect(recover(fleet, 'of-three')).rejects.toMatchObject({ code: 'REPLY_UNTRUSTED' });
  });
});

describe('a replacement is acknowledged only once fewer than t are left that may serve what it replaces', () => {
  const grown = async () => {
    const fleet = new SoftFleet();
    const backupKey = await enrol(fleet, 'of-three');
    fleet.restate([1, 2, 3, 4, 5]);
    return { fleet, backupKey };
  };

  test('three of five that leave two of three are too few, and nothing is stored', async () => {
    const { fleet, backupKey } = await grown();
    fleet.silent.add(1).add(2);
    const replaced = clientOf(fleet).enroll(enrolInput({ recordId: 'of-three', backupKey }));
    await expect(replaced).rejects.toMatchObject({ code: 'NOT_ENOUGH_REPLICAS' });
    expect(fleet.received('finishEnrollment')).toHaveLength(1);
  });

  test('nor is it acknowledged if they fall silent later, until one of them is back', async () => {
    const { fleet, backupKey } = await grown();
    const enrolment = await clientOf(fleet).beginEnrolment(enrolInput({ recordId: 'of-three', backupKey }));
    fleet.silent.add(1).add(2);
    await expect(enrolment.finish()).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' });
    fleet.silent.delete(2);
    expect(await enrolment.finish()).toMatchObject({ holders: [2, 3, 4, 5], threshold: 3 });
  });

  test('of each epoch as many must drop it as are left, and no more', async () => {
    const fleet = new SoftFleet();
    await enrol(fleet, 'of-three');
    fleet.restate([1, 2, 3, 4, 5]);
    await enrol(fleet, 'of-five');
    fleet.restate([1, 2, 3, 4, 5, 6, 7]);
    await enrol(fleet, 'of-seven');
    // 4 of 7, 3 of 5 and 2 of 3.
    fleet.silent.add(3).add(5).add(7);
    expect((await recover(fleet, 'of-seven', true)).renewal).toMatchObject({ state: 'failed' }); // fewer holders than before
    const { renewal } = await clientOf(fleet).recover({ recordId: 'of-seven', code: CODE, allowFewerHolders: true });
    expect(renewal).toMatchObject({ state: 'renewed', result: { holders: [1, 2, 4, 6] } });
  });

  test('after a recovery of what few held, too: another device may have replaced that, with others', async () => {
    const fleet = new SoftFleet();
    fleet.silent.add(3);
    await enrol(fleet, 'of-two'); // by 1 and 2
    fleet.restate([1, 2, 4]);
    // 1 drops it, of two that held it. 2 and 3 may serve what another device put in its place, under the statement of before.
    fleet.tamper.finishRecovery = () => void fleet.silent.add(2);
    const again = () => clientOf(fleet).recover({ recordId: 'of-two', code: CODE, allowFewerHolders: true });
    expect((await again()).renewal).toMatchObject({ state: 'failed', error: { code: 'NOT_ENOUGH_REPLICAS' } });
    fleet.tamper.finishRecovery = () => {};
    fleet.silent.delete(2);
    expect((await again()).renewal).toMatchObject({ state: 'renewed', result: { holders: [1, 2, 4] } });
  });

  test('and of what came before it, which may not be over: the body was perhaps never acknowledged', async () => {
    const { fleet } = await grown();
    const { renewal: moved } = await recover(fleet, 'of-three', true);
    expect(moved).toMatchObject({ state: 'renewed', result: { holders: [1, 2, 3, 4, 5] } });
    fleet.silent.add(2).add(3); // two of three, which could open what three enrolled
    const { renewal } = await clientOf(fleet).recover({ recordId: 'of-three', code: CODE, allowFewerHolders: true });
    expect(renewal).toMatchObject({ state: 'failed', error: { code: 'NOT_ENOUGH_REPLICAS' } });
    fleet.silent.delete(3);
    expect((await clientOf(fleet).recover({ recordId: 'of-three', code: CODE, allowFewerHolders: true })).renewal).toMatchObject({
      state: 'renewed',
    });
  });

  test('without one it may be of any epoch, and all three must drop it', async () => {
    const { fleet } = await grown();
    fleet.restate([1, 2, 3]);
    const backupKey = await enrol(fleet, 'of-three-again');
    fleet.silent.add(3);
    const replaced = clientOf(fleet).enroll(enrolInput({ recordId: 'of-three-again', backupKey, allowFewerHolders: true }));
    await expect(replaced).rejects.toMatchObject({ code: 'NOT_ENOUGH_REPLICAS' });
  });

  test('where there seems to be nothing, there may be what etcd hides', async () => {
    const { fleet } = await grown();
    fleet.silent.add(1).add(2);
    await expect(enrol(fleet, 'new')).rejects.toMatchObject({ code: 'NOT_ENOUGH_REPLICAS' });
    fleet.silent.delete(2);
    await enrol(fleet, 'new');
  });
});
