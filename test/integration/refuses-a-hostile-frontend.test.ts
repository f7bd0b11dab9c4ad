import { create } from '@bufbuild/protobuf';
import { randomBytes } from '@noble/hashes/utils.js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { seal } from '../../client/seal.ts';
import { newEphemeralKey } from '../../client/session.ts';
import { toHex } from '../../primitives/bytes.ts';
import { type Body, BodySchema } from '../../proto/gen/backupvault/v1/record_pb.ts';
import type { PrepareRequest } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import type { Deposit } from '../../proto/gen/backupvault/v1/vault_pb.ts';
import { parseBody } from '../../protocol/body.ts';
import { eraseTranscript } from '../../protocol/transcripts.ts';
import { guess } from './support/attempt.ts';
import { type Draft, deposit, draftEnrolment, enrolled, finishRequest, grantFor, prepareRequest, sealingKey } from './support/draft.ts';
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

  test.each<[what: string, code: string, change: (body: Body) => void]>([
    ['a limit above the operator’s bound', 'POLICY_REFUSED', (body) => Object.assign(policy(body), { limit: 11 })],
    ['another limit within the bound', 'SEAL_REFUSED', (body) => Object.assign(policy(body), { limit: 10 })],
    ['another cool-down', 'SEAL_REFUSED', (body) => Object.assign(policy(body), { coolDownMs: 5n })],
    ['a threshold of 1', 'MALFORMED', (body) => Object.assign(body, { threshold: 1 })],
    ['another threshold', 'POLICY_REFUSED', (body) => Object.assign(body, { threshold: 3 })],
    ['fewer shares', 'SEAL_REFUSED', (body) => body.shares.pop()],
    ['another x', 'SEAL_REFUSED', (body) => Object.assign(share(body), { x: freeX(body) })],
    ['another mask', 'SEAL_REFUSED', (body) => Object.assign(share(body), { mask: randomBytes(32) })],
    ['another Z', 'TICKET_REFUSED', (body) => Object.assign(share(body), { evaluated: share(body).publicKey })],
    ['another K', 'TICKET_REFUSED', (body) => Object.assign(share(body), { publicKey: share(body).evaluated })],
    ['another replica’s Z', 'SEAL_REFUSED', (body) => Object.assign(body.shares[1] ?? {}, { evaluated: share(body).evaluated })],
    ['another ticket’s hash', 'TICKET_REFUSED', (body) => Object.assign(share(body), { ticketHash: randomBytes(32) })],
    ['an owner of its own', 'SEAL_REFUSED', (body) => Object.assign(body, { ownerKey: randomBytes(32) })],
    ['a payload of its own', 'SEAL_REFUSED', (body) => Object.assign(body, { payload: randomBytes(60) })],
    ['a commit of its own', 'SEAL_REFUSED', (body) => Object.assign(body, { commit: randomBytes(32) })],
    ['another generation', 'TICKET_REFUSED', (body) => Object.assign(body, { g: randomBytes(16) })],
  ])('is refused: %s', async (_what, code, change) => {
    expect(await offered(change)).toBe(code);
  });

  test('is refused under an ephemeral key of the frontend’s own: the ticket names the device’s', async () => {
    const own = { ...draft, ephemeral: newEphemeralKey() };
    const [holder] = draft.holders;
    if (!holder) throw new Error('no holder');
    const resealed = await deposit(world, own, { ...holder, auth: holder.release });
    expect(await offered(() => {}, { clientKey: own.ephemeral.publicKey, deposit: resealed })).toBe('TICKET_REFUSED');
    // With the device's key in the message and its own in the seals, they do not open.
    expect(await offered(() => {}, { deposit: resealed })).toBe('SEAL_REFUSED');
  });

  test.each<[what: string, code: string, replay: (own: Deposit) => Promise<Partial<Deposit>>]>([
    ['sealed_auth as sealed_release', 'SEAL_REFUSED', async ({ sealedAuth }) => ({ sealedRelease: sealedAuth })],
    ['sealed_release as sealed_auth', 'SEAL_REFUSED', async ({ sealedRelease }) => ({ sealedAuth: sealedRelease })],
    ['the seals of another replica', 'SEAL_REFUSED', async () => sealsOf(draft.deposits[1])],
    ['the ticket of another replica', 'TICKET_REFUSED', async () => ({ ticket: draft.deposits[1]?.ticket as Deposit['ticket'] & object })],
    ['the seals of another generation', 'SEAL_REFUSED', async () => sealsOf((await draftEnrolment(world, 'bent')).deposits[0])],
    ['the seals of another record', 'SEAL_REFUSED', async () => sealsOf((await draftEnrolment(world, 'other')).deposits[0])],
    ['a seal made for a recovery', 'SEAL_REFUSED', async () => ({ sealedRelease: await sealFor('recover-release') })],
  ])('is refused with a replay: %s', async (_what, code, replay) => {
    const own = draft.deposits[0] as Deposit;
    expect(await offered(() => {}, { deposit: { ...own, ...(await replay(own)) } })).toBe(code);
  });

  async function sealFor(purpose: 'recover-release') {
    const [holder] = draft.holders;
    return seal(await sealingKey(world, draft, 1, { purpose }), holder?.release as NonNullable<typeof holder>['release']);
  }

  test('is stored as the device made it, in spite of all this; then no other body has its g', async () => {
    await world.frontend().finishEnrollment(await finishRequest(world, draft));
    expect(await offered((body) => Object.assign(policy(body), { limit: 10 }))).toBe('GENERATION_CONFLICT');
    const { body } = parseBody((await world.store.record(world.rid('bent')))?.body);
    expect(body.policy.limit).toBe(3);
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

function sealsOf(other: Deposit | undefined): Pick<Deposit, 'sealedAuth' | 'sealedRelease'> {
  if (!other) throw new Error('no deposit');
  return { sealedAuth: other.sealedAuth, sealedRelease: other.sealedRelease };
}

const freeX = (body: Body): number => [1, 2, 3, 4].find((x) => body.shares.every((share) => share.x !== x)) as number;
