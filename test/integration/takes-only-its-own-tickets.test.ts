import { randomBytes } from '@noble/hashes/utils.js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeGeneration } from '../../client/generation.ts';
import type { VaultTransport } from '../../client/transport.ts';
import { toHex } from '../../primitives/bytes.ts';
import { SecretBytes } from '../../primitives/secret-bytes.ts';
import type { PrepareRequest } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import type { Ticket } from '../../protocol/offer.ts';
import { quickHash } from '../harness/soft-client.ts';
import { type Draft, draftEnrolment, enrolled, finishRequest, finishSignature, grantFor, prepareRequest } from './support/draft.ts';
import { eventually } from './support/eventually.ts';
import { LossyTransport } from './support/lossy-transport.ts';
import { type OwnFleet, startOwnFleet } from './support/own-fleet.ts';
import { refusalOf } from './support/refusals.ts';
import { stolenSubRecords } from './support/stolen-guard.ts';

// A ticket is good for one enrolment, at the replica that made it, as long as that runs.

let own: OwnFleet;

beforeAll(async () => {
  own = await startOwnFleet({ etcdMembers: 1 });
});

afterAll(() => own?.stop());

const preparing = (request: PrepareRequest, at = 1) => own.world.peer(at).calls.prepare(request);
const finishing = async (draft: Draft) => own.world.frontend().finishEnrollment(await finishRequest(own.world, draft));

async function restart(...indices: number[]): Promise<void> {
  await Promise.all(
    indices.map(async (index) => {
      const { process } = own.fleet.replica(index);
      await process.stop();
      await process.start();
    }),
  );
  // The others may take a moment to connect to it again.
  const holders = async () => (await draftEnrolment(own.world, 'any').catch(() => undefined))?.tickets.length;
  expect(await eventually(3, holders)).toBe(3);
}

/** As its device would make it that chose this ticket for replica 1. */
async function withTicket(draft: Draft, ticket: Ticket): Promise<PrepareRequest> {
  const tickets = [ticket, ...draft.tickets.slice(1)];
  const signature = finishSignature(own.world, draft, draft.bodyHash, tickets);
  return { ...(await prepareRequest(own.world, draft, 1)), ticket, tags: tickets.map(({ tag }) => tag), signature };
}

test('a ticket of another replica, of another enrolment, or changed in one bit is TICKET_REFUSED', async () => {
  const draft = await draftEnrolment(own.world, 'foreign');
  const [first, second] = draft.tickets as [Ticket, Ticket];
  const [other] = (await draftEnrolment(own.world, 'foreign')).tickets as [Ticket];
  const bent = { ...first, nonce: first.nonce.map((byte, i) => (i === 0 ? byte ^ 1 : byte)) } as Ticket;
  const renumbered = { ...second, index: 1 } as Ticket;
  for (const ticket of [second, renumbered, other, bent])
    expect(await refusalOf(preparing(await withTicket(draft, ticket)))).toBe('TICKET_REFUSED');
  expect(await refusalOf(preparing(await withTicket(draft, first)))).toBe('ACCEPTED');
});

describe('a ticket used twice', () => {
  test('by the same enrolment gets the same answer', async () => {
    const draft = await draftEnrolment(own.world, 'twice');
    const request = await prepareRequest(own.world, draft, 1);
    const { prepared } = await preparing(request);
    expect(prepared?.index).toBe(1);
    const before = await stolenSubRecords(own.world, draft);
    expect((await preparing(request)).prepared).toEqual(prepared);
    await finishing(draft);
    expect((await preparing(request)).prepared).toEqual(prepared);
    expect((await stolenSubRecords(own.world, draft))[0]).toEqual(before[0]); // made and stored once
  });

  test('by another enrolment, which its own device signed, is GENERATION_CONFLICT', async () => {
    const draft = await draftEnrolment(own.world, 'twice-2');
    await preparing(await prepareRequest(own.world, draft, 1));
    const { rid, g, s, blinded, offers, backupKey, tickets } = draft;
    const hashed = await makeGeneration({
      ...{ statement: own.world.statement, rid, g, s, blinded, argon2id: quickHash, offers, backupKey },
      ...{ previous: new Uint8Array(0), number: 1n, line: g },
      policy: { limit: 5, coolDownMs: 0 },
    });
    const signature = finishSignature(own.world, draft, hashed.bodyHash, tickets);
    const other = { ...(await prepareRequest(own.world, { ...draft, ...hashed }, 1)), signature };
    expect(await refusalOf(preparing({ ...other, grant: await grantFor(own.world, draft, hashed.body) }))).toBe('GENERATION_CONFLICT');
  });

  test('after its generation was live and erased is refused', async () => {
    const draft = await enrolled(own.world, 'twice-3');
    await own.world.device().erase('twice-3');
    expect(await refusalOf(preparing(await prepareRequest(own.world, draft, 1)))).toBe('GENERATION_CONFLICT'); // etcd remembers its name
  });
});

describe('after a restart', () => {
  test('a ticket of before is TICKET_REFUSED, and nothing was stored with it', async () => {
    const draft = await draftEnrolment(own.world, 'restarted');
    await restart(1, 2, 3);
    expect(await refusalOf(finishing(draft))).toBe('TICKET_REFUSED');
    expect(await own.world.store.attempts(draft.rid)).toBeUndefined();
    await enrolled(own.world, 'restarted');
  });

  test('what was prepared or enrolled before gets the same answer', async () => {
    const [prepared, live] = [await draftEnrolment(own.world, 'restarted-2'), await enrolled(own.world, 'restarted-3')];
    const { prepared: signed } = await preparing(await prepareRequest(own.world, prepared, 1));
    await preparing(await prepareRequest(own.world, prepared, 2), 2);
    const before = await stolenSubRecords(own.world, prepared);
    await restart(1, 2);
    expect((await preparing(await prepareRequest(own.world, prepared, 1))).prepared).toEqual(signed);
    expect(await stolenSubRecords(own.world, prepared)).toEqual(before);
    expect((await finishing(prepared)).enrolled.length).toBeGreaterThanOrEqual(2);
    expect((await finishing(live)).enrolled).toHaveLength(3);
    expect(toHex((await own.world.store.attempts(live.rid))?.bodyHash ?? new Uint8Array(0))).toBe(toHex(live.bodyHash));
  });
});

/** A device on whose first FinishEnrollment something happens on the way, there or back. */
function deviceThat(hooks: { there?: () => Promise<void>; back?: () => Promise<void> }) {
  const inner = own.world.transport();
  let isFirst = true;
  const finishEnrollment: VaultTransport['finishEnrollment'] = async (request) => {
    const { there, back } = isFirst ? hooks : {};
    isFirst = false;
    await there?.();
    const response = await inner.finishEnrollment(request);
    await back?.();
    return response;
  };
  const lossy = new LossyTransport({ ...inner, finishEnrollment });
  return { lossy, device: own.world.device(lossy.transport) };
}

describe('a device whose replicas restart between both calls', () => {
  const policy = { limit: 3, coolDownMs: 0 };

  test('begins again by itself, once, and is enrolled', async () => {
    const { lossy, device } = deviceThat({ there: () => restart(1, 2, 3) });
    const backupKey = new SecretBytes(randomBytes(32));
    const { g, holders } = await device.enroll({ recordId: 'begun-again', code: 'correct horse', backupKey, policy });
    expect(holders).toEqual([1, 2, 3]);
    const begun = lossy.requests<{ g: Uint8Array }>('beginEnrollment').map((request) => toHex(request.g));
    expect(begun).toHaveLength(2);
    expect(new Set(begun).size).toBe(2);
    expect(begun[1]).toBe(toHex(g));
    const recovered = await own.world.device().recover({ recordId: 'begun-again', code: 'correct horse', renew: false });
    expect(recovered.backupKey.expose()).toEqual(backupKey.expose());
  });

  test('does not begin again where the first may have been committed', async () => {
    const { lossy, device } = deviceThat({ back: () => restart(1, 2, 3) });
    lossy.lose('finishEnrollment');
    const backupKey = new SecretBytes(randomBytes(32));
    const { g } = await device.enroll({ recordId: 'not-again', code: 'correct horse', backupKey, policy });
    expect(lossy.requests('beginEnrollment')).toHaveLength(1);
    expect(lossy.requests('finishEnrollment')).toHaveLength(2);
    expect(toHex((await own.world.store.attempts(own.world.rid('not-again')))?.g ?? new Uint8Array(0))).toBe(toHex(g));
  });
});
