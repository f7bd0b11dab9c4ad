import { toBinary } from '@bufbuild/protobuf';
import { randomBytes } from '@noble/hashes/utils.js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { toHex } from '../../primitives/bytes.ts';
import { SecretBytes } from '../../primitives/secret-bytes.ts';
import {
  BeginRecoveryRequestSchema,
  type FinishEnrollmentRequest,
  FinishEnrollmentRequestSchema,
  FinishRecoveryRequestSchema,
} from '../../proto/gen/backupvault/v1/vault_pb.ts';
import { guess } from './support/attempt.ts';
import { CODE, enrolled, finishRequest } from './support/draft.ts';
import { LossyTransport, type Method } from './support/lossy-transport.ts';
import { World } from './support/world.ts';

let world: World;

beforeAll(async () => {
  world = await World.open();
});

afterAll(() => world?.close());

const policy = { limit: 4, coolDownMs: 0 };
const backupKey = () => new SecretBytes(randomBytes(32));

describe('a device that loses a reply', () => {
  test.each<Method>(['getFleet', 'describeRecord', 'beginEnrollment', 'finishEnrollment'])('of %s enrols once', async (method) => {
    const recordId = `lost-${method}`;
    const lossy = new LossyTransport(world.transport());
    lossy.lose(method);
    const { g, holders } = await world.device(lossy.transport).enroll({ recordId, code: CODE, backupKey: backupKey(), policy });
    expect(holders).toEqual([1, 2, 3]);
    const register = await world.store.attempts(world.rid(recordId));
    expect(register?.g).toEqual(g);
    expect(
      new Set(lossy.requests<FinishEnrollmentRequest>('finishEnrollment').map((r) => toHex(toBinary(FinishEnrollmentRequestSchema, r))))
        .size,
    ).toBe(1);
  });

  test.each<Method>(['describeRecord', 'beginRecovery', 'finishRecovery'])('of %s recovers with one attempt', async (method) => {
    const recordId = `lost-${method}-2`;
    const key = backupKey();
    await world.device().enroll({ recordId, code: CODE, backupKey: key, policy });
    const lossy = new LossyTransport(world.transport());
    lossy.lose(method, 2);
    const recovered = await world.device(lossy.transport).recover({ recordId, code: CODE, renew: false });
    expect(recovered.backupKey.expose()).toEqual(key.expose());
    expect(recovered.attempt).toBe(1);
    expect((await world.store.attempts(world.rid(recordId)))?.points).toHaveLength(1);
    for (const [method, schema] of [
      ['beginRecovery', BeginRecoveryRequestSchema],
      ['finishRecovery', FinishRecoveryRequestSchema],
    ] as const)
      expect(new Set(lossy.requests<never>(method).map((request) => toHex(toBinary(schema, request)))).size).toBe(1);
  });

  test('of a re-enrolment has one of the two generations, and either opens with the code', async () => {
    const recordId = 'lost-renewal';
    const key = backupKey();
    await world.device().enroll({ recordId, code: CODE, backupKey: key, policy });
    const lossy = new LossyTransport(world.transport());
    lossy.lose('finishEnrollment', 4); // more than the device tries
    const { renewal } = await world.device(lossy.transport).recover({ recordId, code: CODE });
    if (renewal.state !== 'unknown') throw new Error(`the renewal is ${renewal.state}`);
    expect((await world.device().recover({ recordId, code: CODE, renew: false })).backupKey.expose()).toEqual(key.expose());
    const { g } = await renewal.enrolment.finish(); // the same bytes, later
    const register = await world.store.attempts(world.rid(recordId));
    expect(register?.g).toEqual(g);
    expect(register?.points).toHaveLength(1); // the counter was not reset
  });
});

describe('the same bytes at any later time', () => {
  test('of an enrolment do not give attempts back', async () => {
    const draft = await enrolled(world, 'again');
    const { blinded, grant } = await guess(world, draft, 'wrong');
    await world.frontend().beginRecovery({ recordId: 'again', g: draft.g, point: blinded.point, grant });
    await world.frontend().finishEnrollment(await finishRequest(world, draft));
    expect((await world.store.attempts(draft.rid))?.points).toHaveLength(1);
  });

  test('of an attempt get the same answer from every replica as coordinator, for one attempt', async () => {
    const draft = await enrolled(world, 'everywhere');
    const { blinded, grant } = await guess(world, draft, 'wrong');
    const begin = { recordId: 'everywhere', g: draft.g, point: blinded.point, grant };
    const answers = await Promise.all(
      world.client.addresses.map((address) => world.frontend(world.client.tls, address).beginRecovery(begin)),
    );
    expect(answers.map(({ attempt }) => attempt)).toEqual([1, 1, 1]);
    const evaluated = answers.flatMap(({ evaluations }) => evaluations.map((e) => `${e.index} ${toHex(e.evaluated)}`));
    expect(new Set(evaluated).size).toBe(3);
    expect((await world.store.attempts(draft.rid))?.points).toHaveLength(1);
  });

  test('of an erasure erase once, and nothing that came after', async () => {
    const lossy = new LossyTransport(world.transport());
    const device = world.device(lossy.transport);
    await device.enroll({ recordId: 'erased-again', code: CODE, backupKey: backupKey(), policy });
    lossy.lose('eraseRecord');
    expect((await device.erase('erased-again')).pending).toEqual([1, 2, 3]);
    await device.enroll({ recordId: 'erased-again', code: CODE, backupKey: backupKey(), policy });
    const [late] = lossy.requests<never>('eraseRecord');
    const { pending } = await world.transport().eraseRecord(late as never); // what was erased is, and who was away may sign for it
    expect([...pending].sort()).toEqual([1, 2, 3]);
    expect((await device.describe('erased-again')).state).toBe('live');
  });
});
