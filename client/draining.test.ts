import { beforeEach, describe, expect, test } from 'vitest';
import { utf8 } from '../primitives/bytes.ts';
import { SecretBytes } from '../primitives/secret-bytes.ts';
import { CODE, enrolInput, InstantClock, quickHash, RECORD, WRONG } from '../test/harness/soft-client.ts';
import { SoftFleet } from '../test/harness/soft-fleet.ts';
import type { VaultTransport } from './transport.ts';
import { VaultClient } from './vault-client.ts';

// An old fleet at epoch 1 is replaced by a new one at epoch 2, with other keys and another store.

let old: SoftFleet;
let fresh: SoftFleet;
const input = enrolInput({ policy: { limit: 3, coolDownMs: 0 } });
const recovery = { recordId: RECORD, code: CODE };

beforeEach(() => {
  [old, fresh] = [new SoftFleet(), new SoftFleet({ epoch: 2 })];
});

const optionsOf = (transport: VaultTransport) => ({
  transport,
  policy: { kind: 'pinned', statementHashes: [old.statement.hash, fresh.statement.hash] } as const,
  ...{ fleet: old.name, tenant: SoftFleet.tenant, clock: new InstantClock(), argon2id: quickHash },
});

/** A device that knows one fleet alone. */
const deviceOf = (fleet: SoftFleet) => new VaultClient(optionsOf(fleet));

/** A device of the overlap. After every call, whatever became of it, at least one of both fleets has the record. */
function device(from: () => Promise<unknown> = async () => {}): VaultClient {
  const watched = (fleet: SoftFleet): VaultTransport =>
    new Proxy(fleet, {
      get: (_target, name: keyof VaultTransport) => async (request: never) => {
        try {
          return await (fleet[name] as (message: never) => Promise<unknown>)(request);
        } finally {
          await from();
        }
      },
    }) as VaultTransport;
  return new VaultClient({ ...optionsOf(watched(fresh)), draining: { transport: watched(old), epochLeast: 1 } });
}

const stateAt = async (fleet: SoftFleet) => {
  try {
    return (await deviceOf(fleet).describe(RECORD)).state;
  } catch {
    return 'unknown';
  }
};

test('what its owner keeps beside it moves along, with what is newer there', async () => {
  await deviceOf(old).enroll(input);
  const { backupKey } = input;
  await deviceOf(old).putList({ recordId: RECORD, backupKey, content: utf8('a door'), counter: 4n });
  const { renewal } = await device().recover(recovery);
  expect(renewal).toMatchObject({ result: { drained: { state: 'erased' } } });
  const { list } = await deviceOf(fresh).list(RECORD, backupKey);
  expect(list).toMatchObject({ counter: 4n });
  expect(new TextDecoder().decode(list?.content)).toBe('a door');
});

test('but not to a record of another backup key, whose owner never wrote it', async () => {
  await deviceOf(old).enroll(input);
  const { backupKey } = input;
  await deviceOf(old).putList({ recordId: RECORD, backupKey, content: utf8('a door'), counter: 4n });
  const other = new SecretBytes(new Uint8Array(32).fill(7));
  const { drained } = await device().enroll({ ...input, backupKey: other, replaces: backupKey });
  expect(drained).toMatchObject({ state: 'erased' });
  expect((await deviceOf(fresh).list(RECORD, other)).list).toBeUndefined();
});

test('a record that the old fleet alone has is recovered there, enrolled at the new one, and erased at the old one', async () => {
  await deviceOf(old).enroll(input);
  const { backupKey, attempt, renewal } = await device().recover(recovery);
  expect(backupKey.expose()).toEqual(input.backupKey.expose());
  expect(attempt).toBe(1);
  expect(renewal).toMatchObject({ state: 'renewed', result: { epoch: 2, drained: { state: 'erased' } } });
  expect([await stateAt(old), await stateAt(fresh)]).toEqual(['erased', 'live']);
  expect(fresh.bodyOf(RECORD).body).toMatchObject({ epoch: 2n, previous: new Uint8Array(0), policy: { limit: 3 } });

  const again = await device().recover(recovery);
  expect(again.backupKey.expose()).toEqual(input.backupKey.expose());
  expect(again.renewal).toMatchObject({ result: { drained: { state: 'nothing' } } });
});

test('a device that holds the backup key moves its record by enrolling it again, and spends no attempt', async () => {
  await deviceOf(old).enroll(input);
  expect(await device().enroll({ ...input, code: '739162' })).toMatchObject({ epoch: 2, drained: { state: 'erased' } });
  expect(old.received('beginRecovery')).toEqual([]);
  expect([await stateAt(old), await stateAt(fresh)]).toEqual(['erased', 'live']);
  expect((await device().recover({ ...recovery, code: '739162' })).backupKey.expose()).toEqual(input.backupKey.expose());
});

test('with another backup key it is refused, as the old fleet would', async () => {
  await deviceOf(old).enroll(input);
  await expect(device().enroll(enrolInput())).rejects.toMatchObject({ code: 'OWNER_REFUSED' });
  expect([await stateAt(old), await stateAt(fresh)]).toEqual(['live', 'unknown']);
});

test('a new record is enrolled at the new fleet, and an erased one too', async () => {
  expect(await device().enroll(input)).toMatchObject({ epoch: 2, drained: { state: 'nothing' } });
  expect(old.received('beginEnrollment')).toEqual([]);
  [old, fresh] = [new SoftFleet(), new SoftFleet({ epoch: 2 })];
  await deviceOf(old).enroll(input);
  await deviceOf(old).erase(RECORD);
  await expect(device().recover(recovery)).rejects.toMatchObject({ code: 'ERASED' });
  expect(await device().enroll(enrolInput())).toMatchObject({ drained: { state: 'nothing' } });
});

describe('attempts', () => {
  test('wrong codes count at the old fleet, up to its limit, and cannot be had again at the new one', async () => {
    await deviceOf(old).enroll(input);
    for (const attemptsUsed of [1, 2, 3])
      await expect(device().recover({ ...recovery, code: WRONG })).rejects.toMatchObject({
        code: 'WRONG_CODE',
        details: { attemptsUsed, attemptsLimit: 3 },
      });
    await expect(device().recover(recovery)).rejects.toMatchObject({ code: 'EXHAUSTED' });
    expect(fresh.received('beginRecovery')).toEqual([]);
    expect(old.attemptsOf(RECORD)).toBe(3);
  });

  test.each(['exhausted', 'erased'])('a record that is %s at the new fleet is not looked for at the old one', async (state) => {
    await deviceOf(old).enroll(input);
    await deviceOf(fresh).enroll(input);
    if (state === 'erased') await deviceOf(fresh).erase(RECORD);
    else
      for (let i = 0; i < 3; i++)
        await deviceOf(fresh)
          .recover({ ...recovery, code: WRONG })
          .catch(() => {});
    await expect(device().recover(recovery)).rejects.toMatchObject({ code: state.toUpperCase() });
    expect(old.received('beginRecovery')).toEqual([]);
  });

  test('a lost reply of the old fleet costs nothing', async () => {
    await deviceOf(old).enroll(input);
    const one = device();
    old.lose('beginRecovery', 4);
    await expect(one.recover(recovery)).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' });
    expect(await one.recover(recovery)).toMatchObject({ attempt: 1, renewal: { state: 'renewed' } });
  });
});

describe('interrupted', () => {
  const steps = [
    ...(['describeRecord', 'getFleet', 'beginEnrollment', 'finishEnrollment'] as const).map((method) => ({
      where: 'new',
      method,
      after: 0,
    })),
    ...(['describeRecord', 'beginRecovery', 'finishRecovery', 'eraseRecord'] as const).map((method) => ({
      where: 'old',
      method,
      after: 0,
    })),
    { where: 'old', method: 'describeRecord', after: 1 } as const, // before the erasure
  ];
  const cases = steps.flatMap((step) => (['before', 'after'] as const).map((when) => ({ ...step, when })));

  test.each(cases)(
    'at $method of the $where fleet, call $after, $when it is served: nothing is lost, and it can be made again',
    async (point) => {
      await deviceOf(old).enroll(input);
      const target = point.where === 'old' ? old : fresh;
      const checks: string[] = [];
      const checked = async () => {
        const states = [await stateAt(old), await stateAt(fresh)];
        if (!states.includes('live')) checks.push(states.join());
      };
      // A device that stops for good at this call: the connection breaks, and no later call arrives.
      const original = target[point.method].bind(target) as (request: never) => Promise<unknown>;
      let calls = 0;
      let isDead = false;
      const broken = new Error('the device is gone');
      const dying = (fleet: SoftFleet): VaultTransport =>
        new Proxy(fleet, {
          get: (_target, name: keyof VaultTransport) => async (request: never) => {
            if (isDead) throw broken;
            const isHere = fleet === target && name === point.method && calls++ === point.after;
            if (isHere) isDead = true;
            if (isHere && point.when === 'before') throw broken;
            const answer = await (isHere ? original(request) : (fleet[name] as (message: never) => Promise<unknown>)(request));
            await checked();
            if (isHere) throw broken;
            return answer;
          },
        }) as VaultTransport;
      const first = new VaultClient({ ...optionsOf(dying(fresh)), draining: { transport: dying(old), epochLeast: 1 } });
      await first.recover(recovery).catch(() => {});
      expect(isDead).toBe(true);

      const { backupKey, renewal } = await device(checked).recover(recovery);
      expect(backupKey.expose()).toEqual(input.backupKey.expose());
      expect(renewal.state).toBe('renewed');
      expect([await stateAt(old), await stateAt(fresh)]).toEqual(['erased', 'live']);
      expect(checks).toEqual([]);
      expect(old.attemptsOf(RECORD)).toBeLessThanOrEqual(2);
    },
  );
});

describe('the old fleet’s record is erased only after t of the new one signed', () => {
  test('and not when fewer did; then the same enrolment is finished later', async () => {
    await deviceOf(old).enroll(input);
    fresh.tamper.finishEnrollment = (reply) => {
      reply.enrolled.splice(1);
    };
    const { renewal } = await device().recover(recovery);
    if (renewal.state !== 'unknown') throw new Error(renewal.state);
    expect(await stateAt(old)).toBe('live');
    expect(old.received('eraseRecord')).toEqual([]);
    delete fresh.tamper.finishEnrollment;
    expect(await renewal.enrolment.finish()).toMatchObject({ drained: { state: 'erased' } });
    expect(await stateAt(old)).toBe('erased');
  });

  test('and not when the new fleet refuses', async () => {
    await deviceOf(old).enroll(input);
    fresh.fail('finishEnrollment', 'POLICY_REFUSED');
    expect((await device().recover(recovery)).renewal).toMatchObject({ state: 'failed' });
    expect([await stateAt(old), await stateAt(fresh)]).toEqual(['live', 'unknown']);
  });

  test('nor without a renewal', async () => {
    await deviceOf(old).enroll(input);
    expect((await device().recover({ ...recovery, renew: false })).renewal).toMatchObject({ state: 'skipped' });
    expect([await stateAt(old), await stateAt(fresh)]).toEqual(['live', 'unknown']);
  });

  test('and not when it holds another backup key by now', async () => {
    await deviceOf(fresh).enroll(input);
    await deviceOf(old).enroll(enrolInput({ backupKey: new SecretBytes(new Uint8Array(32).fill(9)) }));
    expect((await device().recover({ ...recovery, from: 'new' })).renewal).toMatchObject({ result: { drained: { state: 'kept' } } });
    expect(await stateAt(old)).toBe('live');
  });

  test('and not when it was enrolled there anew, under another code, while it moved', async () => {
    await deviceOf(old).enroll(input);
    const { beginEnrollment } = fresh;
    fresh.beginEnrollment = async (request) => {
      await deviceOf(old).enroll({ ...input, code: '739162' });
      return beginEnrollment.call(fresh, request);
    };
    expect((await device().recover(recovery)).renewal).toMatchObject({ result: { drained: { state: 'kept' } } });
    expect((await deviceOf(old).recover({ recordId: RECORD, code: '739162' })).backupKey.expose()).toEqual(input.backupKey.expose());
  });

  test('and where the old fleet does not answer, the next recovery makes up for it', async () => {
    await deviceOf(old).enroll(input);
    old.fail('eraseRecord', 'STORE_UNAVAILABLE', 'STORE_UNAVAILABLE', 'STORE_UNAVAILABLE', 'STORE_UNAVAILABLE');
    const { renewal } = await device().recover(recovery);
    expect(renewal).toMatchObject({ result: { drained: { state: 'unknown', error: { code: 'STORE_UNAVAILABLE' } } } });
    expect((await device().recover(recovery)).renewal).toMatchObject({ result: { drained: { state: 'erased' } } });
  });
});

describe('two devices', () => {
  test('that move one record at once move it once, and both get the backup key', async () => {
    await deviceOf(old).enroll(input);
    const both = await Promise.all([device().recover(recovery), device().recover(recovery)]);
    for (const { backupKey } of both) expect(backupKey.expose()).toEqual(input.backupKey.expose());
    expect([await stateAt(old), await stateAt(fresh)]).toEqual(['erased', 'live']);
    expect((await device().recover(recovery)).backupKey.expose()).toEqual(input.backupKey.expose());
  });

  test('of which one moves it between the two looks of the other', async () => {
    await deviceOf(old).enroll(input);
    const { describeRecord } = old;
    old.describeRecord = async (request) => {
      old.describeRecord = describeRecord;
      await device().recover(recovery);
      return describeRecord.call(old, request);
    };
    expect(await device().describe(RECORD)).toMatchObject({ state: 'live' });
  });

  test('of which one moves it under the other’s hands', async () => {
    await deviceOf(old).enroll(input);
    const { beginRecovery } = old;
    old.beginRecovery = async (request) => {
      old.beginRecovery = beginRecovery;
      await device().recover(recovery);
      return beginRecovery.call(old, request);
    };
    const { backupKey, renewal } = await device().recover(recovery);
    expect(backupKey.expose()).toEqual(input.backupKey.expose());
    expect(renewal.state).toBe('renewed');
  });
});

test('an erasure is one in both fleets', async () => {
  await deviceOf(old).enroll(input);
  expect((await device().erase(RECORD)).erased).toEqual([1, 2, 3]);
  expect(await stateAt(old)).toBe('erased');
  [old, fresh] = [new SoftFleet(), new SoftFleet({ epoch: 2 })];
  await deviceOf(old).enroll(input);
  await deviceOf(fresh).enroll(input);
  await device().erase(RECORD);
  expect([await stateAt(old), await stateAt(fresh)]).toEqual(['erased', 'erased']);
  await expect(device().erase('nobody')).rejects.toMatchObject({ code: 'RECORD_UNKNOWN' });
});

test('what only the old fleet has is described there', async () => {
  await deviceOf(old).enroll(input);
  expect(await device().describe(RECORD)).toMatchObject({ state: 'live', attemptsLimit: 3 });
  await expect(device().describe('nobody')).rejects.toMatchObject({ code: 'RECORD_UNKNOWN' });
});

describe('where the old fleet’s address leads to the new one', () => {
  const misled = (transport: VaultTransport = fresh, to: VaultTransport = fresh) =>
    new VaultClient({ ...optionsOf(to), draining: { transport, epochLeast: 1 } });
  const misdirected = { drained: { state: 'misdirected', error: { code: 'FLEET_UNTRUSTED', details: { check: 'fleet-not-older' } } } };

  test('a recovery erases nothing there', async () => {
    await deviceOf(fresh).enroll(input);
    expect((await misled().recover(recovery)).renewal).toMatchObject({ state: 'renewed', result: misdirected });
    expect(fresh.received('eraseRecord')).toEqual([]);
    expect((await misled().recover(recovery)).backupKey.expose()).toEqual(input.backupKey.expose());
  });

  test('nor does an enrolment, the first or a later one', async () => {
    for (const code of [CODE, '739162']) expect(await misled().enroll({ ...input, code })).toMatchObject(misdirected);
    expect(await stateAt(fresh)).toBe('live');
  });

  test('nor is a generation erased that another device enrolled just afterwards', async () => {
    await deviceOf(fresh).enroll(input);
    const { finishEnrollment } = fresh;
    fresh.finishEnrollment = async (request) => {
      fresh.finishEnrollment = finishEnrollment;
      const reply = await finishEnrollment.call(fresh, request);
      await deviceOf(fresh).enroll({ ...input, code: '739162' });
      return reply;
    };
    expect((await misled().recover(recovery)).renewal).toMatchObject({ result: misdirected });
    expect(await stateAt(fresh)).toBe('live');
  });

  test('nor where it answers with an earlier statement of the new fleet', async () => {
    const before = fresh.statement;
    fresh.restate();
    const statementHashes = [before.hash, fresh.statement.hash];
    const options = { ...optionsOf(fresh), policy: { kind: 'pinned', statementHashes } as const };
    const behind = new Proxy(fresh, {
      get: (_target, name: keyof VaultTransport) => async (request: never) => {
        const reply = await (fresh[name] as (message: never) => Promise<{ statement?: Uint8Array }>)(request);
        return reply.statement && reply.statement.length > 0 ? { ...reply, statement: before.bytes } : reply;
      },
    }) as VaultTransport;
    const one = new VaultClient({ ...options, draining: { transport: behind, epochLeast: 1 } });
    expect(await one.enroll(input)).toMatchObject(misdirected);
    expect(fresh.received('eraseRecord')).toEqual([]);
  });

  test('nor with both addresses taken for each other, and the record is found where it is', async () => {
    await deviceOf(old).enroll(input);
    expect((await misled(fresh, old).recover(recovery)).renewal).toMatchObject({ state: 'renewed', result: misdirected });
    expect([await stateAt(old), await stateAt(fresh)]).toEqual(['live', 'unknown']);
  });

  test('an erasure is one, and a record that is unknown stays unknown', async () => {
    await expect(misled().recover(recovery)).rejects.toMatchObject({ code: 'RECORD_UNKNOWN' });
    await deviceOf(fresh).enroll(input);
    expect((await misled().erase(RECORD)).erased).toEqual([1, 2, 3]);
    expect(await stateAt(fresh)).toBe('erased');
  });

  test('and once it is corrected, the same client moves what is left', async () => {
    let transport: VaultTransport = fresh;
    const one = misled(new Proxy(fresh, { get: (_target, name: keyof VaultTransport) => transport[name].bind(transport) }));
    await deviceOf(old).enroll(input);
    await expect(one.recover(recovery)).rejects.toMatchObject({ code: 'RECORD_UNKNOWN' });
    transport = old;
    expect((await one.recover(recovery)).renewal).toMatchObject({ result: { drained: { state: 'erased' } } });
  });
});

test('the generation just enrolled is not erased, even where an older fleet’s statement stands beside it', async () => {
  const liar = new Proxy(fresh, {
    get: (_target, name: keyof VaultTransport) => async (request: never) => {
      const reply = await (fresh[name] as (message: never) => Promise<{ statement?: Uint8Array }>)(request);
      return reply.statement ? { ...reply, statement: old.statement.bytes } : reply;
    },
  }) as VaultTransport;
  const one = new VaultClient({ ...optionsOf(fresh), draining: { transport: liar, epochLeast: 1 } });
  await deviceOf(fresh).enroll(input);
  expect((await one.recover(recovery)).renewal).toMatchObject({ result: { drained: { state: 'nothing' } } });
  expect(fresh.received('eraseRecord')).toEqual([]);
});
