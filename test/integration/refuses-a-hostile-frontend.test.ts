import { create } from '@bufbuild/protobuf';
import { p256 } from '@noble/curves/nist.js';
import { randomBytes } from '@noble/hashes/utils.js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { publicKeyOf, randomScalar } from '../../client/curve.ts';
import { proofKey } from '../../client/derive.ts';
import { makeGeneration } from '../../client/generation.ts';
import { toHex } from '../../primitives/bytes.ts';
import { SecretBytes } from '../../primitives/secret-bytes.ts';
import { type Body, BodySchema } from '../../proto/gen/backupvault/v1/record_pb.ts';
import type { PrepareRequest } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import type { FinishEnrollmentRequest } from '../../proto/gen/backupvault/v1/vault_pb.ts';
import { type HashedBody, parseBody } from '../../protocol/body.ts';
import type { Ticket } from '../../protocol/offer.ts';
import { eraseTranscript } from '../../protocol/transcripts.ts';
import { quickHash } from '../harness/soft-client.ts';
import { guess } from './support/attempt.ts';
import { begin, type Draft, draftEnrolment, enrolled, finishRequest, finishSignature, grantFor, prepareRequest } from './support/draft.ts';
import { refusalOf } from './support/refusals.ts';
import { World } from './support/world.ts';

// It holds the tenant's certificate and grant key: it may sign a grant for anything, and see and change every message. It is not the device.

let world: World;

beforeAll(async () => {
  world = await World.open();
});

afterAll(() => world?.close());

describe('an enrolment that it bends on the way', () => {
  let draft: Draft;

  beforeAll(async () => {
    draft = await draftEnrolment(world, 'bent');
  });

  /** What replica 1 says to a body of the frontend's making, under a grant for exactly that body. */
  async function offered(change: (body: Body) => void, also: Partial<PrepareRequest> = {}): Promise<string> {
    const body = create(BodySchema, structuredClone(draft.body));
    change(body);
    const request = { ...(await prepareRequest(world, draft, 1)), body, grant: await grantFor(world, draft, body), ...also };
    return refusalOf(world.peer(1).calls.prepare(request));
  }

  const policy = (body: Body) => body.policy as NonNullable<Body['policy']>;
  const share = (body: Body) => body.shares[0] as Body['shares'][number];
  /** It begins a line of its own. */
  const renamed = (body: Body, g: Uint8Array) => Object.assign(body, { g, line: g });

  test.each<[what: string, code: string, change: (body: Body) => void]>([
    ['a limit above the operator’s bound', 'POLICY_REFUSED', (body) => Object.assign(policy(body), { limit: 11 })],
    ['another limit within the bound', 'FINISH_REFUSED', (body) => Object.assign(policy(body), { limit: 10 })],
    ['another cool-down', 'FINISH_REFUSED', (body) => Object.assign(policy(body), { coolDownMs: 5n })],
    ['a threshold of 1', 'MALFORMED', (body) => Object.assign(body, { threshold: 1 })],
    ['another threshold', 'POLICY_REFUSED', (body) => Object.assign(body, { threshold: 3 })],
    ['fewer shares', 'MALFORMED', (body) => body.shares.pop()],
    ['another x', 'FINISH_REFUSED', (body) => Object.assign(share(body), { x: freeX(body) })],
    ['another mask', 'FINISH_REFUSED', (body) => Object.assign(share(body), { mask: randomBytes(32) })],
    ['another mask of what is released', 'FINISH_REFUSED', (body) => Object.assign(share(body), { releaseMask: randomBytes(32) })],
    ['an owner of its own', 'FINISH_REFUSED', (body) => Object.assign(body, { ownerKey: randomBytes(32) })],
    ['a payload of its own', 'FINISH_REFUSED', (body) => Object.assign(body, { payload: randomBytes(60) })],
    ['a proof key of its own', 'FINISH_REFUSED', (body) => Object.assign(body, { proofKey: publicKeyOf(randomScalar().expose()) })],
    ['a release base of its own', 'FINISH_REFUSED', (body) => Object.assign(body, { releaseBase: publicKeyOf(randomScalar().expose()) })],
    ['G as release base', 'MALFORMED', (body) => Object.assign(body, { releaseBase: p256.Point.BASE.toBytes(true) })],
    ['−G as release base', 'MALFORMED', (body) => Object.assign(body, { releaseBase: p256.Point.BASE.negate().toBytes(true) })],
    ['another generation', 'FINISH_REFUSED', (body) => renamed(body, randomBytes(16))],
    ['another line', 'MALFORMED', (body) => Object.assign(body, { line: randomBytes(16) })],
    ['a number beyond the first', 'GENERATION_CONFLICT', (body) => Object.assign(body, { number: 2n })],
  ])('is refused: %s', async (_what, code, change) => {
    expect(await offered(change)).toBe(code);
  });

  test('is refused with fewer shares and fewer tags', async () => {
    const tags = draft.tickets.slice(0, 2).map(({ tag }) => tag);
    expect(await offered((body) => body.shares.pop(), { tags })).toBe('FINISH_REFUSED');
  });

  test('is refused with what belongs to another enrolment', async () => {
    const [other] = (await draftEnrolment(world, 'bent')).tickets;
    const [, second] = draft.tickets;
    const swap = (ticket: Ticket | undefined) => offered(() => {}, { ticket: ticket as Ticket });
    expect(await swap(second)).toBe('TICKET_REFUSED'); // of another replica
    expect(await swap(other)).toBe('TICKET_REFUSED'); // of another generation
    const { signature } = await finishRequest(world, await draftEnrolment(world, 'bent'));
    expect(await offered(() => {}, { signature })).toBe('FINISH_REFUSED');
    expect(await offered(() => {}, { point: (await guess(world, draft, 'a code')).blinded.point })).toBe('TICKET_REFUSED');
  });

  test('is refused with a ticket that the frontend asked for again, in the device’s name: its seed is another one', async () => {
    const { recordId, g, blinded, body, tickets } = draft;
    const offers = await begin(world, { recordId, g, point: blinded.point, proofKey: body.proofKey });
    const ticket = offers.find((offer) => offer.ticket?.index === 1)?.ticket as Ticket;
    expect(await offered(() => {}, { ticket })).toBe('TICKET_REFUSED');
    const tags = [ticket, ...tickets.slice(1)].map(({ tag }) => tag);
    expect(await offered(() => {}, { ticket, tags })).toBe('FINISH_REFUSED');
  });

  test('is stored as the device made it, in spite of all this; then no other body has its g', async () => {
    await world.frontend().finishEnrollment(await finishRequest(world, draft));
    expect(await offered((body) => Object.assign(policy(body), { limit: 10 }))).toBe('GENERATION_CONFLICT');
    const { body } = await world.committed(world.rid('bent'));
    expect(body.policy.limit).toBe(3);
  });
});

describe('an enrolment that it keeps back, to finish its tickets with a body of its own', () => {
  // The tickets stand for the seeds under which the device's masks were made. A generation of those seeds with another body, another limit
  // and another owner would evaluate guesses at them.
  let draft: Draft;
  let own: HashedBody;
  const s = new SecretBytes(randomBytes(32));

  /** As the frontend likes it, under the tickets that it relayed. */
  async function finishWith(key: { readonly s: SecretBytes; readonly proofKey: Uint8Array }): Promise<FinishEnrollmentRequest> {
    const body = create(BodySchema, { ...own.body, proofKey: key.proofKey });
    const { bodyHash } = parseBody(body);
    const signature = finishSignature(world, { ...draft, s: key.s }, bodyHash, draft.tickets);
    return { ...(await finishRequest(world, draft)), body, signature, grant: await grantFor(world, draft, body) };
  }

  beforeAll(async () => {
    draft = await draftEnrolment(world, 'kept-back', { limit: 1 });
    const { rid, g, blinded, offers } = draft;
    const policy = { limit: 10, coolDownMs: 0 };
    const backupKey = new SecretBytes(randomBytes(32));
    own = await makeGeneration({
      ...{ statement: world.statement, rid, g, s, blinded, argon2id: quickHash, offers, backupKey, policy },
      ...{ previous: new Uint8Array(0), number: 1n, line: g },
    });
  });

  test('is FINISH_REFUSED under the device’s proof key: the frontend has no private key to it', async () => {
    const { proofKey } = draft.body;
    for (const by of [s, new SecretBytes(new Uint8Array(32))])
      expect(await refusalOf(world.frontend().finishEnrollment(await finishWith({ s: by, proofKey })))).toBe('FINISH_REFUSED');
    const finish = await finishRequest(world, draft); // the device's own signature, which is for the device's body
    const body = create(BodySchema, { ...own.body, proofKey });
    const grant = await grantFor(world, draft, body);
    expect(await refusalOf(world.frontend().finishEnrollment({ ...finish, body, grant }))).toBe('FINISH_REFUSED');
  });

  test('is TICKET_REFUSED under a proof key of its own: the tickets were made for the device’s', async () => {
    const finish = await finishWith({ s, proofKey: proofKey(s.expose(), draft.rid, draft.g) });
    expect(await refusalOf(world.frontend().finishEnrollment(finish))).toBe('TICKET_REFUSED');
    for (const index of [1, 2, 3]) {
      const { $typeName: _, recordId, tickets, ...handover } = finish;
      const ticket = tickets.find((each) => each.index === index) as Ticket;
      const prepare = { ...(await prepareRequest(world, draft, index)), ...handover, ticket };
      expect(await refusalOf(world.peer(index).calls.prepare(prepare))).toBe('TICKET_REFUSED');
    }
  });

  test('is still what the device made, which comes late', async () => {
    await world.frontend().finishEnrollment(await finishRequest(world, draft));
    expect((await world.store.attempts(draft.rid))?.bodyHash).toEqual(draft.bodyHash);
  });
});

describe('a live record', () => {
  test('is not replaced without the owner’s signature', async () => {
    const first = await enrolled(world, 'owned');
    const second = await draftEnrolment(world, 'owned', { replaces: first });
    const finish = await finishRequest(world, second);
    const forged = { ...finish, ownerSignature: finish.ownerSignature.map((byte, i) => (i === 0 ? byte ^ 1 : byte)) };
    for (const ownerSignature of [new Uint8Array(0), forged.ownerSignature])
      expect(await refusalOf(world.frontend().finishEnrollment({ ...finish, ownerSignature }))).toBe('OWNER_REFUSED');
    await world.frontend().finishEnrollment(finish);
  });

  test('is not replaced with a signature for another replacement', async () => {
    const first = await enrolled(world, 'resigned');
    const [second, third] = [
      await draftEnrolment(world, 'resigned', { replaces: first }),
      await draftEnrolment(world, 'resigned', { replaces: first }),
    ];
    const finish = { ...(await finishRequest(world, second)), ownerSignature: third.ownerSignature };
    expect(await refusalOf(world.frontend().finishEnrollment(finish))).toBe('OWNER_REFUSED');
  });

  test('is not replaced by an earlier enrolment sent again', async () => {
    const first = await enrolled(world, 'earlier');
    const second = await enrolled(world, 'earlier', { replaces: first });
    expect(await refusalOf(world.frontend().finishEnrollment(await finishRequest(world, first)))).toBe('GENERATION_CONFLICT');
    const third = await enrolled(world, 'earlier', { replaces: second });
    for (const old of [first, second])
      expect(await refusalOf(world.frontend().finishEnrollment(await finishRequest(world, old)))).toBe('GENERATION_CONFLICT');
    expect((await world.store.attempts(world.rid('earlier')))?.g).toEqual(third.g);
  });

  test('is not served under a point that was granted for another record or generation', async () => {
    const first = await enrolled(world, 'elsewhere');
    const other = await enrolled(world, 'elsewhere-2');
    const { blinded, grant } = await guess(world, first, 'a code');
    const begin = { recordId: 'elsewhere', g: first.g, point: blinded.point, grant };
    expect(await refusalOf(world.frontend().beginRecovery({ ...begin, recordId: 'elsewhere-2', g: other.g }))).toBe('GRANT_REFUSED');
    const second = await enrolled(world, 'elsewhere', { replaces: first });
    expect(await refusalOf(world.frontend().beginRecovery({ ...begin, g: second.g }))).toBe('GRANT_REFUSED');
    expect(await refusalOf(world.frontend().beginRecovery(begin))).toBe('GENERATION_UNKNOWN');
    expect((await world.store.attempts(second.rid))?.points).toEqual([]);
  });

  test('is not reached by another tenant', async () => {
    const draft = await enrolled(world, 'tenants');
    const { rival } = world;
    const asRival = world.frontend(rival.tls);
    expect(await refusalOf(asRival.describeRecord({ recordId: 'tenants' }))).toBe('RECORD_UNKNOWN');
    const own = await guess(world, draft, 'a code');
    const begin = { recordId: 'tenants', g: draft.g, point: own.blinded.point };
    expect(await refusalOf(asRival.beginRecovery({ ...begin, grant: own.grant }))).toBe('GRANT_REFUSED'); // stolen
    const theirs = await guess(world, { ...draft, file: rival }, 'a code');
    expect(await refusalOf(asRival.beginRecovery({ ...begin, point: theirs.blinded.point, grant: theirs.grant }))).toBe('RECORD_UNKNOWN');
    const erase = { operation: 'erase', recordId: 'tenants', g: draft.g, authorises: eraseTranscript(draft.rid, draft.g).digest } as const;
    expect(await refusalOf(asRival.eraseRecord({ recordId: 'tenants', g: draft.g, grant: await world.grant(erase) }))).toBe(
      'GRANT_REFUSED',
    );
    expect((await world.store.attempts(draft.rid))?.points).toEqual([]);
    expect(toHex((await world.store.attempts(draft.rid))?.g ?? new Uint8Array(0))).toBe(toHex(draft.g));
  });
});

const freeX = (body: Body): number => [1, 2, 3, 4].find((x) => body.shares.every((share) => share.x !== x)) as number;
