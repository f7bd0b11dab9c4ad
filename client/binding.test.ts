import { create } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { isVaultError } from '../primitives/errors.ts';
import { SecretBytes } from '../primitives/secret-bytes.ts';
import { BodySchema } from '../proto/gen/backupvault/v1/record_pb.ts';
import * as pb from '../proto/gen/backupvault/v1/vault_pb.ts';
import { type HashedBody, parseBody } from '../protocol/body.ts';
import { erasureOf, verifyErasure } from '../protocol/receipt.ts';
import { ridFor } from '../protocol/record-id.ts';
import type { Statement } from '../protocol/statement.ts';
import { erasedTranscript, receiptTranscript } from '../protocol/transcripts.ts';
import { xOf } from '../protocol/x-coordinate.ts';
import { bytesFor } from '../test/golden/arguments.ts';
import { flips } from '../test/harness/flips.ts';
import { CODE, clientOf, enrolInput, RECORD, secretOf } from '../test/harness/soft-client.ts';
import { SoftFleet } from '../test/harness/soft-fleet.ts';
import { curveXOf, multiply, parseCurvePoint } from './curve.ts';
import { codeInput, payloadKey } from './derive.ts';
import { verifyEnrolled } from './enrolment.ts';
import { type OfferRequest, verifyOffer } from './offers.ts';
import { openPayload } from './open-body.ts';
import { blind } from './oprf.ts';
import { decryptPayload, encryptPayload } from './payload.ts';
import { type RecoveryRequest, verifyAnswers } from './receipts.ts';
import { type AskedRelease, verifyRelease } from './release.ts';
import type { TrustedStatement } from './trust.ts';
import { trustPinned } from './trust-pinned.ts';

// What the client verifies, each field changed once. The tables are made of whatever fields there are: a new one that nothing binds
// fails here.

const fleet = new SoftFleet();
const statement = trustPinned(fleet.statement.bytes, fleet.policy, Date.UTC(2026, 0)) as TrustedStatement;
const rid = ridFor(fleet.name, SoftFleet.tenant, RECORD);
await clientOf(fleet).enroll(enrolInput());
const hashed = fleet.bodyOf(RECORD);
const { g } = hashed.body;
const blinded = blind(codeInput(CODE, fleet.name, rid));
const { point } = blinded;
const someX = xOf(point);

/** Of a statement, what replicas name in what they sign. */
const namesOf = ({ fleet, epoch }: { fleet: string; epoch: number }) => ({ fleet, epoch });
const statements = [...flips(namesOf(statement))].map(({ path, value }) => ({
  path: `statement.${path}`,
  value: { ...statement, ...value },
}));

/** Each request that differs from the true one in one field. */
function* requestsLike<R extends OfferRequest | RecoveryRequest>({ statement: _, ...fields }: R) {
  for (const { path, value } of flips(fields)) yield { path, value: { statement, ...value } as unknown as R };
  for (const { path, value } of statements) yield { path, value: { ...fields, statement: value } as unknown as R };
}

const refused = expect.objectContaining({ name: 'VaultError' });

describe('an offer', () => {
  const request: OfferRequest = { statement, rid, g: bytesFor('g', 16), point, proofKey: hashed.body.proofKey };
  const offer = fleet.replica(2).offer(statement, request);

  test('is accepted as it is', () => {
    expect(verifyOffer(offer, request)).toMatchObject({ index: 2 });
  });
  test.each([...flips(offer)])('is refused with another $path', ({ value }) => {
    expect(() => verifyOffer(value, request)).toThrow(refused);
  });
  test.each([...requestsLike(request)])('is refused for another $path', ({ value }) => {
    expect(() => verifyOffer(offer, value)).toThrow(refused);
  });
  test('is refused without a ticket', () => {
    const { ticket: _, ...without } = offer;
    expect(() => verifyOffer(create(pb.OfferSchema, without as never), request)).toThrow(refused);
  });
});

describe('the word that an enrolment is in force', () => {
  const enrolled = fleet.replica(2).enrolled(statement, hashed);

  test('is accepted as it is', () => {
    expect(verifyEnrolled(enrolled, statement, hashed)).toEqual({ index: 2 });
  });
  test.each([...flips(enrolled)])('is refused with another $path', ({ value }) => {
    expect(() => verifyEnrolled(value, statement, hashed)).toThrow(refused);
  });
  test('is not taken from a replica that holds no share', () => {
    const two = parseBody(create(BodySchema, { ...hashed.body, shares: hashed.body.shares.slice(0, 2) }));
    expect(() => verifyEnrolled(fleet.replica(3).enrolled(statement, two), statement, two)).toThrow(refused);
  });
  test.each(statements)('is refused for another $path', ({ value }) => {
    expect(() => verifyEnrolled(enrolled, value as typeof statement, hashed)).toThrow(refused);
  });
  test.each([...flips({ rid: hashed.body.rid, g: hashed.body.g })])('is refused for another $path', ({ value }) => {
    expect(() => verifyEnrolled(enrolled, statement, { ...hashed, body: { ...hashed.body, ...value } as never })).toThrow(refused);
  });
  test.each([...flips({ bodyHash: hashed.bodyHash })])('is refused for another $path', ({ value }) => {
    expect(() => verifyEnrolled(enrolled, statement, { ...hashed, ...value })).toThrow(refused);
  });
});

describe('the word that a record is erased', () => {
  const signature = fleet.replica(2).sign(erasedTranscript({ ...namesOf(statement), index: 2, rid, g }));
  const erased = { index: 2, rid, g, signature };
  const verify = ({ index, rid, g, signature }: typeof erased, under: Pick<Statement, 'fleet' | 'epoch'> = statement) =>
    verifyErasure({ ...statement, ...under }, erasureOf(index, rid, g, signature));

  test('is accepted as it is', () => {
    expect(() => verify(erased)).not.toThrow();
  });
  test.each([...flips(erased)])('is refused with another $path', ({ value }) => {
    expect(() => verify(value)).toThrow(refused);
  });
  test.each(statements)('is refused for another $path', ({ value }) => {
    expect(() => verify(erased, value)).toThrow(refused);
  });
});

describe('a reply to BeginRecovery', async () => {
  const request: RecoveryRequest = { statement, rid, g, point };
  const reply = await fleet.beginRecovery(create(pb.BeginRecoveryRequestSchema, { recordId: RECORD, g, point }));

  test('is accepted as it is', async () => {
    expect(await verifyAnswers(reply, request)).toMatchObject({ attempt: 1, valid: [{ index: 1 }, { index: 2 }, { index: 3 }] });
  });
  // A replica's own field takes away its own answer, a common field takes away all.
  test.each([...flips(reply)])('loses what was signed for with another $path', async ({ path, value }) => {
    const answers = await verifyAnswers(value, request).catch((error: unknown) => {
      if (!isVaultError(error, 'REPLY_UNTRUSTED')) throw error;
    });
    const isOwn = path.startsWith('evaluations.') || path === 'evaluations without last';
    expect(answers?.valid.length ?? 0).toBe(isOwn ? 2 : 0);
  });
  test.each([...requestsLike(request)])('is refused for another $path', async ({ value }) => {
    await expect(verifyAnswers(reply, value)).rejects.toMatchObject({ code: 'REPLY_UNTRUSTED' });
  });
  test('does not tell a limit that replicas did not sign', async () => {
    const signed = fleet.replicas.map((replica) => replica.receipt(statement, hashed, { attempt: 1, used: 1, limit: 99 }, point, someX));
    const raised = create(pb.BeginRecoveryResponseSchema, { ...reply, evaluations: signed });
    await expect(verifyAnswers(raised, request)).rejects.toMatchObject({ code: 'REPLY_UNTRUSTED' });
  });
  test.each([0, 2, 11])('does not count one that says it counted %i attempts, of which this is the third of ten', async (used) => {
    const evaluations = fleet.replicas.map((replica) => replica.evaluate(statement, hashed, { attempt: 3, used: 3 }, point));
    evaluations[0] = fleet.replica(1).evaluate(statement, hashed, { attempt: 3, used }, point);
    const changed = create(pb.BeginRecoveryResponseSchema, { ...reply, attempt: 3, evaluations });
    expect((await verifyAnswers(changed, request)).valid.map(({ index }) => index)).toEqual([2, 3]);
  });
  test('needs an attempt within the limit', async () => {
    for (const attempt of [0, 11]) {
      const evaluations = fleet.replicas.map((replica) => replica.evaluate(statement, hashed, { attempt, used: attempt }, point));
      const changed = create(pb.BeginRecoveryResponseSchema, { ...reply, attempt, evaluations });
      await expect(verifyAnswers(changed, request)).rejects.toMatchObject({ code: 'REPLY_UNTRUSTED' });
    }
  });

  // Here every replica signs for the body, so that only the client's own comparison with what it asked for is left.
  test.each<[string, object]>([
    ['fleet', { fleet: 'other' }],
    ['epoch that is to come', { epoch: 2n }],
    ['record', { rid: bytesFor('other') }],
    ['generation', { g: bytesFor('other', 16), line: bytesFor('other', 16) }],
    ['threshold', { threshold: 3 }],
    ['replica that is not there', { shares: hashed.body.shares.map((share, i) => ({ ...share, index: i === 2 ? 4 : share.index })) }],
  ])('is refused if the body names another %s, although replicas signed it', async (_, change) => {
    const other = parseBody(create(BodySchema, { ...hashed.body, ...change }));
    await expect(verifyAnswers(signedBy(other), request)).rejects.toMatchObject({ code: 'REPLY_UNTRUSTED' });
  });
  test('is accepted for a body of an epoch before', async () => {
    const [older, now] = [hashed.body.epoch, statement.epoch + 1];
    const later = { ...statement, epoch: now };
    expect(older).toBeLessThan(now);
    expect(await verifyAnswers(signedBy(hashed, now), { ...request, statement: later })).toMatchObject({ attempt: 1 });
  });
  test('does not count a replica that holds no share', async () => {
    const two = parseBody(create(BodySchema, { ...hashed.body, shares: hashed.body.shares.slice(0, 2) }));
    expect(await verifyAnswers(signedBy(two), request)).toMatchObject({ valid: [{ index: 1 }, { index: 2 }] });
  });

  function signedBy({ body, bodyHash }: HashedBody, epoch = statement.epoch): pb.BeginRecoveryResponse {
    const evaluated = someX;
    const { limit } = body.policy;
    const evaluations = fleet.replicas.map((replica) => {
      const view = { fleet: fleet.name, epoch, index: replica.index, rid, g };
      const receipt = receiptTranscript({ ...view, attempt: 1, limit, used: 1, point, evaluated, bodyHash, enrolledAtMs: 1n });
      return { index: replica.index, evaluated, enrolledAtMs: 1n, used: 1, signature: replica.sign(receipt) };
    });
    return create(pb.BeginRecoveryResponseSchema, { body, attempt: 1, evaluations });
  }

  describe('a body that t hostile replicas signed', async () => {
    const { valid } = await verifyAnswers(reply, request);
    const base = parseCurvePoint(hashed.body.releaseBase, 'T');
    const released = fleet.replicas.map((replica) => ({
      index: replica.index,
      d: curveXOf(multiply(base, new SecretBytes(replica.stateOf(g).releaseKey))),
    }));
    const open = async (body: typeof hashed.body) => {
      const s = await secretOf(body, valid, blinded);
      return s && openPayload(body, s, released);
    };

    test('opens as it is', async () => {
      expect(await open(hashed.body)).toBeInstanceOf(SecretBytes);
    });
    test.each([...flips(hashed.body)])('does not open with another $path', async ({ value }) => {
      expect(await open(value).catch(() => undefined)).toBeUndefined();
    });
    test('has no secret to be found with another A', async () => {
      for (const { value } of flips({ proofKey: hashed.body.proofKey }))
        expect(await secretOf({ ...hashed.body, ...value } as typeof hashed.body, valid, blinded)).toBeUndefined();
    });
  });
});

describe('a release', () => {
  const { body, bodyHash } = hashed;
  const asked: AskedRelease = { statement, rid, g, point, body, bodyHash, attempt: 1, blindedBase: body.releaseBase };
  const request = create(pb.FinishRecoveryRequestSchema, { attempt: 1, point, blindedBase: asked.blindedBase });
  const release = fleet.replica(2).releaseOf(statement, hashed, request, someX);
  const { body: _, ...fields } = asked;

  test('is accepted as it is', () => {
    expect(verifyRelease(release, asked)).toEqual({ index: 2, released: someX });
  });
  test.each([...flips(release)])('is refused with another $path', ({ value }) => {
    expect(() => verifyRelease(value, asked)).toThrow(refused);
  });
  test.each([...requestsLike(fields)])('is refused for another $path', ({ value }) => {
    expect(() => verifyRelease(release, { ...value, body })).toThrow(refused);
  });
  test('is not taken from a replica that holds no share', () => {
    const two = parseBody(create(BodySchema, { ...body, shares: body.shares.slice(0, 2) }));
    const third = fleet.replica(3).releaseOf(statement, two, request, someX);
    expect(() => verifyRelease(third, { ...asked, ...two })).toThrow(refused);
  });
});

// Whoever relays it could change it. The replicas of this fleet verify what those of every fleet verify.
describe('what the client sends', () => {
  test('to finish an enrolment is refused with any other body, point, ticket or signature', async () => {
    const own = new SoftFleet();
    const enrolment = await clientOf(own).beginEnrolment(enrolInput());
    own.fail('finishEnrollment', 'GRANT_REFUSED');
    await expect(enrolment.finish()).rejects.toMatchObject({ code: 'GRANT_REFUSED' });
    const sent = own.lastReceived('finishEnrollment', pb.FinishEnrollmentRequestSchema);
    const { body, point, tickets, signature } = sent;
    // One replica's ticket is one replica's matter, but its tag: all tags are signed for.
    for (const { path, value } of flips({ body, point, tickets, signature }))
      if (!path.startsWith('tickets.') || path.includes('.tag '))
        await expect(own.finishEnrollment({ ...sent, ...value }), path).rejects.toThrow();
    await enrolment.finish();
  });
  test('to prove the code is refused for another attempt, point, B or proof', async () => {
    await clientOf(fleet).recover({ recordId: RECORD, code: CODE, renew: false });
    const sent = fleet.lastReceived('finishRecovery', pb.FinishRecoveryRequestSchema);
    const { attempt, point, blindedBase, proof } = sent;
    for (const { path, value } of flips({ attempt, point, blindedBase, proof }))
      await expect(fleet.finishRecovery({ ...sent, ...value }), path).rejects.toThrow();
    expect((await fleet.finishRecovery(sent)).releases.length).toBe(3);
  });
});

describe('a payload', async () => {
  const [s, r] = [bytesFor('s'), bytesFor('R')];
  const { body } = hashed;
  const key = payloadKey(s, r, rid, g);
  const payload = await encryptPayload(key, new SecretBytes(bytesFor('backup key')), body);
  const whole = { ...body, payload };

  test('opens in its body', async () => {
    expect((await decryptPayload(key, whole))?.expose()).toEqual(bytesFor('backup key'));
  });
  test.each([...flips(whole)])('does not open in a body with another $path', async ({ value }) => {
    expect(await decryptPayload(key, value)).toBeUndefined();
  });
  test('does not open with releases that do not belong together', async () => {
    const released = [1, 2, 3].map((index) => ({ index, d: bytesFor(`D ${index}`) }));
    expect(await openPayload(body, new SecretBytes(s), released)).toBeUndefined();
  });
});
