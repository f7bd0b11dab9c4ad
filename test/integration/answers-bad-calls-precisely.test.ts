import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { create } from '@bufbuild/protobuf';
import { Client as Channel, credentials } from '@grpc/grpc-js';
import { p256 } from '@noble/curves/nist.js';
import { CompactSign } from 'jose';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { GrantSigner } from '../../frontend/grant-signer.ts';
import { type Client, promiseClient } from '../../grpc/bridge.ts';
import { toHex } from '../../primitives/bytes.ts';
import { BodySchema } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { VaultService } from '../../proto/gen/backupvault/v1/vault_pb.ts';
import type { Grant } from '../../protocol/grant.ts';
import { MAX_MESSAGE_LENGTH, MAX_PEER_MESSAGE_LENGTH } from '../../protocol/message.ts';
import { beginEnrolmentTranscript, pointTranscript } from '../../protocol/transcripts.ts';
import { guess, proofBy, voteRequest, votes } from './support/attempt.ts';
import { CODE, type Draft, enrolled, finishRequest, prepareRequest } from './support/draft.ts';
import { refusalOf, toldBy } from './support/refusals.ts';
import { World } from './support/world.ts';

let world: World;
let vault: Client<typeof VaultService>;
let draft: Draft;

beforeAll(async () => {
  world = await World.open();
  vault = world.frontend();
  draft = await enrolled(world, 'bad-calls');
});

afterAll(() => world?.close());

const g = new Uint8Array(16);
const point = p256.Point.BASE.double().toBytes(true);

/** Each says in one sentence what is wrong. */
async function expectTold(call: Promise<unknown>, status: string, code: string): Promise<void> {
  const told = await toldBy(call);
  expect(told).toMatchObject({ status, code });
  expect(told.sentence).toMatch(/^[A-Za-z`].{15,200}\.$/s);
}

const offCurve = (): Uint8Array => {
  for (let x = 1; ; x++) {
    const bytes = Uint8Array.of(2, ...new Uint8Array(31), x);
    try {
      p256.Point.fromBytes(bytes);
    } catch {
      return bytes;
    }
  }
};

const badPoints: [string, Uint8Array][] = [
  ['nothing', new Uint8Array(0)],
  ['the identity as SEC1 has it', Uint8Array.of(0)],
  ['the identity, padded', new Uint8Array(33)],
  ['an x without a point', offCurve()],
  ['an x beyond p', Uint8Array.of(2, ...new Uint8Array(32).fill(0xff))],
  ['an uncompressed point', p256.Point.BASE.double().toBytes(false)],
  ['a hybrid point', Uint8Array.of(6, ...point.slice(1))],
  ['a byte more', Uint8Array.of(...point, 0)],
  ['a byte less', point.slice(0, -1)],
];

describe('a point that is none', () => {
  test.each(badPoints)('is refused at the beginning of an enrolment: %s', async (_what, bad) => {
    const authorises = beginEnrolmentTranscript(bad, point).digest;
    const grant = await world.grant({ operation: 'begin-enrolment', recordId: 'bad', g, authorises });
    await expectTold(vault.beginEnrollment({ recordId: 'bad', g, point: bad, proofKey: point, grant }), 'INVALID_ARGUMENT', 'MALFORMED');
  });

  test.each(badPoints)('is refused at the beginning of a recovery, and spends nothing: %s', async (_what, bad) => {
    const authorises = pointTranscript(bad).digest;
    const grant = await world.grant({ operation: 'begin-recovery', recordId: 'bad-calls', g: draft.g, authorises });
    const begin = { recordId: 'bad-calls', g: draft.g, point: bad, grant };
    await expectTold(vault.beginRecovery(begin), 'INVALID_ARGUMENT', 'MALFORMED');
    expect((await world.store.attempts(draft.rid))?.points).toEqual([]);
    const request = { ...voteRequest(draft, await guess(world, draft, CODE), 1), point: bad, grant };
    expect(await refusalOf(world.peer(1).calls.vote(request))).toBe('MALFORMED'); // no guard counts it either
  });

  test.each(badPoints)('is refused as the key of a proof, and as a blinded base: %s', async (_what, bad) => {
    const authorises = beginEnrolmentTranscript(point, bad).digest;
    const grant = await world.grant({ operation: 'begin-enrolment', recordId: 'bad', g, authorises });
    await expectTold(vault.beginEnrollment({ recordId: 'bad', g, point, proofKey: bad, grant }), 'INVALID_ARGUMENT', 'MALFORMED');
    const released = await enrolled(world, `bad-key-${bad.length}-${bad[0]}-${bad[1]}`);
    const honest = await guess(world, released, CODE);
    await votes(world, voteRequest(released, honest, 1), [1, 2, 3]);
    const proof = proofBy(world, released, 1, honest.blinded.point, bad);
    const finish = { recordId: released.recordId, g: released.g, attempt: 1, point: honest.blinded.point, blindedBase: bad, proof };
    await expectTold(vault.finishRecovery(finish), 'INVALID_ARGUMENT', 'MALFORMED');
  });
});

test('a client that goes by another statement is refused, before anything is counted', async () => {
  const epoch = BigInt(world.statement.epoch) + 1n;
  const { recordId } = draft;
  const { blinded } = await guess(world, draft, CODE);
  const authorises = pointTranscript(blinded.point).digest;
  const grant = await world.grant({ operation: 'begin-recovery', recordId, g: draft.g, authorises });
  const begin = { recordId, g: draft.g, point: blinded.point, grant };
  const finish = { recordId, g: draft.g, attempt: 1, point: blinded.point, blindedBase: point, proof: new Uint8Array(64) };
  for (const call of [
    vault.describeRecord({ recordId, leastEpoch: epoch }),
    vault.beginEnrollment({ recordId, g, point, proofKey: point, grant: 'x', epoch }),
    vault.beginRecovery({ ...begin, epoch }),
    vault.finishRecovery({ ...finish, epoch }),
  ])
    expect(await refusalOf(call)).toBe('STATEMENT_MISMATCH');
  expect((await world.store.attempts(draft.rid))?.points).toEqual([]);
  const described = await vault.describeRecord({ recordId, leastEpoch: epoch - 1n });
  expect(toHex(described.g)).toBe(toHex(draft.g));
});

describe('a request of the wrong form', () => {
  const short = new Uint8Array(15);
  const release = { recordId: 'bad-calls', attempt: 1, point, blindedBase: point };

  test.each<[string, () => Promise<unknown>]>([
    ['a record id with a space', () => vault.describeRecord({ recordId: 'a b' })],
    ['an empty record id', () => vault.describeRecord({ recordId: '' })],
    ['a long record id', () => vault.describeRecord({ recordId: 'a'.repeat(129) })],
    ['a short g', () => vault.beginEnrollment({ recordId: 'bad', g: short, point, proofKey: point, grant: 'x' })],
    ['a short g at a recovery', () => vault.beginRecovery({ recordId: 'bad', g: short, point, grant: 'x' })],
    ['a short g at a release', () => vault.finishRecovery({ ...release, g: short, proof: new Uint8Array(64) })],
    ['a short g at an erasure', () => vault.eraseRecord({ recordId: 'bad', g: short, grant: 'x' })],
    ['no proof', () => vault.finishRecovery({ ...release, g: draft.g })],
    ['a short proof', () => vault.finishRecovery({ ...release, g: draft.g, proof: new Uint8Array(63) })],
    ['no body', () => vault.finishEnrollment({ recordId: 'bad', point, grant: 'x' })],
    ['an empty body', () => vault.finishEnrollment({ recordId: 'bad', point, grant: 'x', body: {} })],
    ['no tickets', async () => vault.finishEnrollment({ ...(await finishRequest(world, draft)), tickets: [] })],
    ['a ticket too few', async () => vault.finishEnrollment({ ...(await finishRequest(world, draft)), tickets: draft.tickets.slice(1) })],
    [
      'tickets in another order',
      async () => vault.finishEnrollment({ ...(await finishRequest(world, draft)), tickets: draft.tickets.toReversed() }),
    ],
  ])('is MALFORMED: %s', async (_what, call) => {
    await expectTold(call(), 'INVALID_ARGUMENT', 'MALFORMED');
  });

  test('is MALFORMED: fields in the body that no hash binds', async () => {
    const { $typeName: _, ...fields } = draft.body;
    const unknown = [{ no: 99, wireType: 2, data: Uint8Array.of(1, 1) }];
    for (const body of [
      Object.assign(create(BodySchema, fields), { $unknown: unknown }),
      create(BodySchema, { ...fields, policy: Object.assign(structuredClone(draft.body.policy), { $unknown: unknown }) }),
      create(BodySchema, { ...fields, shares: draft.body.shares.map((s) => Object.assign(structuredClone(s), { $unknown: unknown })) }),
    ]) {
      const finish = { ...(await finishRequest(world, draft)), body };
      await expectTold(vault.finishEnrollment(finish), 'INVALID_ARGUMENT', 'MALFORMED');
      const prepare = { ...(await prepareRequest(world, draft, 1)), body };
      expect(await refusalOf(world.peer(1).calls.prepare(prepare))).toBe('MALFORMED');
    }
  });

  test('is TOO_LARGE beyond 64 KiB, and 256 KiB between replicas', async () => {
    const grant = 'x'.repeat(MAX_MESSAGE_LENGTH);
    const refused = await toldBy(vault.beginRecovery({ recordId: 'bad', g, point, grant }));
    expect(refused).toMatchObject({ status: 'RESOURCE_EXHAUSTED', code: 'TOO_LARGE' });
    const request = voteRequest(draft, await guess(world, draft, CODE), 1);
    const long = 'x'.repeat(MAX_PEER_MESSAGE_LENGTH);
    expect(await refusalOf(world.peer(1).calls.vote({ ...request, grant: long }))).toBe('TOO_LARGE');
  });
});

describe('a record', () => {
  test('that never was is RECORD_UNKNOWN', async () => {
    await expectTold(vault.describeRecord({ recordId: 'nobody' }), 'NOT_FOUND', 'RECORD_UNKNOWN');
    const grant = await world.grant({ operation: 'begin-recovery', recordId: 'nobody', g, authorises: pointTranscript(point).digest });
    await expectTold(vault.beginRecovery({ recordId: 'nobody', g, point, grant }), 'NOT_FOUND', 'RECORD_UNKNOWN');
  });

  test('that has another generation is GENERATION_UNKNOWN', async () => {
    const grant = await world.grant({ operation: 'begin-recovery', recordId: 'bad-calls', g, authorises: pointTranscript(point).digest });
    await expectTold(vault.beginRecovery({ recordId: 'bad-calls', g, point, grant }), 'FAILED_PRECONDITION', 'GENERATION_UNKNOWN');
  });
});

describe('a grant', () => {
  const claims = (): Grant => ({
    ...{ fleet: world.client.fleet, tenant: world.client.tenant, operation: 'begin-recovery', recordId: 'bad-calls' },
    ...{ g: draft.g, authorises: pointTranscript(point).digest },
  });
  const begin = (grant: string) => vault.beginRecovery({ recordId: 'bad-calls', g: draft.g, point, grant });
  const pem = () => readFileSync(world.client.grant.key, 'utf8');
  const kid = () => world.client.grant.kid;
  const hours = (n: number) => ({ now: () => Date.now() + n * 3600_000, monotonic: () => 0, sleep: async () => {} });
  const otherPem = () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;

  test.each<[string, string, () => Promise<string>]>([
    ['that is missing', 'GRANT_REFUSED', async () => ''],
    ['that is no JWS', 'GRANT_REFUSED', async () => 'a.b.c'],
    ['that is too long', 'GRANT_REFUSED', async () => 'x'.repeat(3000)],
    ['that has expired', 'GRANT_EXPIRED', () => new GrantSigner({ kid: kid(), pem: pem(), clock: hours(-1) }).sign(claims())],
    ['from the future', 'GRANT_EXPIRED', () => new GrantSigner({ kid: kid(), pem: pem(), clock: hours(1) }).sign(claims())],
    ['that is forged', 'GRANT_REFUSED', () => new GrantSigner({ kid: kid(), pem: otherPem() }).sign(claims())],
    ['with another kid', 'GRANT_REFUSED', () => new GrantSigner({ kid: 'another', pem: pem() }).sign(claims())],
    ['with the kid of another tenant', 'GRANT_REFUSED', () => world.grant(claims(), world.rival)],
    ['of another type', 'GRANT_REFUSED', () => typed('JWT')],
    ['whose claims are no grant', 'GRANT_REFUSED', () => typed('bkv-grant+jws')],
    ['without a signature', 'GRANT_REFUSED', async () => unsigned(await world.grant(claims()))],
  ])('%s is refused', async (_what, code, sign) => {
    await expectTold(begin(await sign()), 'PERMISSION_DENIED', code);
  });

  function typed(typ: string): Promise<string> {
    const header = { alg: 'ES256', kid: kid(), typ };
    return new CompactSign(Buffer.from('{}')).setProtectedHeader(header).sign(createPrivateKey(pem()));
  }

  const unsigned = (jws: string): string => {
    const [, payload] = jws.split('.');
    const header = Buffer.from(JSON.stringify({ alg: 'none', kid: kid(), typ: 'bkv-grant+jws' })).toString('base64url');
    return `${header}.${payload}.`;
  };
});

describe('a caller', () => {
  test('of a tenant that is not served is told so', async () => {
    await expectTold(
      world.frontend(inject('others').misnamed.unserved).describeRecord({ recordId: 'a' }),
      'PERMISSION_DENIED',
      'FOREIGN_TENANT',
    );
  });

  test('whose certificate names no tenant is told so', async () => {
    await expectTold(
      world.frontend(inject('others').misnamed.nameless).describeRecord({ recordId: 'a' }),
      'UNAUTHENTICATED',
      'CALLER_UNKNOWN',
    );
  });

  test('without a certificate, or with one of another authority, does not get through TLS', async () => {
    const address = world.client.addresses[0] as string;
    const anonymous = new Channel(address, credentials.createSsl(readFileSync(world.client.tls.ca)));
    expect(await toldBy(promiseClient(VaultService, anonymous).getFleet({}))).toMatchObject({ status: 'UNAVAILABLE' });
    anonymous.close();
    expect(await toldBy(world.frontend(inject('others').stranger.frontend).getFleet({}))).toMatchObject({ status: 'UNAVAILABLE' });
    const request = voteRequest(draft, await guess(world, draft, CODE), 1);
    expect(await refusalOf(world.peer(1, inject('others').stranger.replica).calls.vote(request))).toBe('OUTCOME_UNKNOWN');
  });
});
