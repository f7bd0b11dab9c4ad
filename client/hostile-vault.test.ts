import { p256 } from '@noble/curves/nist.js';
import { randomBytes } from '@noble/hashes/utils.js';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  BeginEnrollmentRequestSchema,
  BeginRecoveryRequestSchema,
  FinishRecoveryRequestSchema,
  type Offer,
} from '../proto/gen/backupvault/v1/vault_pb.ts';
import { parseBody } from '../protocol/body.ts';
import { offerTranscript, recordTranscript, ticketHashTranscript } from '../protocol/transcripts.ts';
import { CODE, clientOf, enrolInput, RECORD, WRONG } from '../test/harness/soft-client.ts';
import { SoftFleet } from '../test/harness/soft-fleet.ts';

/** Changes what several replicas said. */
function forge<T>(claims: readonly T[], change: (claim: T) => void): void {
  for (const claim of claims) change(claim);
}

const anyPoint = () => p256.keygen().publicKey;

describe('a hostile coordinator at enrolment', () => {
  test.each<[string, (offer: Offer) => void]>([
    ['Z', (offer) => Object.assign(offer, { evaluated: anyPoint() })],
    ['K', (offer) => Object.assign(offer, { publicKey: anyPoint() })],
    ['a ticket', (offer) => Object.assign(offer, { ticket: { ...offer.ticket, tag: randomBytes(32) } })],
    ['a signature', (offer) => Object.assign(offer, { signature: randomBytes(64) })],
    ['a signature of no length', (offer) => Object.assign(offer, { signature: new Uint8Array(0) })],
    ['an index', (offer) => Object.assign(offer, { index: 9 })],
    ['a point that is not on the curve', (offer) => Object.assign(offer, { evaluated: new Uint8Array(33).fill(2) })],
  ])('who substitutes %s takes one replica’s offer away, and no more', async (_, change) => {
    const fleet = new SoftFleet();
    fleet.tamper.beginEnrollment = ({ offers }) => change(offers[0] as Offer);
    expect(await clientOf(fleet).enroll(enrolInput())).toMatchObject({ holders: [2, 3] });
    fleet.tamper.beginEnrollment = ({ offers }) => forge(offers.slice(1), change);
    await expect(clientOf(fleet).enroll(enrolInput({ recordId: 'account-2' }))).rejects.toMatchObject({ code: 'REPLY_UNTRUSTED' });
  });

  test.each([
    { what: 'point', change: () => ({ point: anyPoint() }) },
    { what: 'client key', change: () => ({ clientKey: anyPoint() }) },
    { what: 'generation', change: () => ({ g: randomBytes(16) }) },
    { what: 'record', change: () => ({ rid: randomBytes(32) }) },
  ])('who asks replicas for offers to another $what gets nothing to store', async ({ change }) => {
    const fleet = new SoftFleet();
    fleet.tamper.beginEnrollment = (reply) => {
      const { g, point, clientKey } = fleet.lastReceived('beginEnrollment', BeginEnrollmentRequestSchema);
      const rid = recordTranscript(fleet.name, SoftFleet.tenant, RECORD).digest;
      reply.offers = fleet.replicas.map((replica) => replica.offer(fleet.statement, { g, point, clientKey, rid, ...change() }));
    };
    await expect(clientOf(fleet).enroll(enrolInput())).rejects.toMatchObject({ code: 'REPLY_UNTRUSTED' });
    expect(fleet.received('finishEnrollment')).toEqual([]);
  });

  test('who lets one replica stand for two is refused', async () => {
    const fleet = new SoftFleet();
    fleet.tamper.beginEnrollment = ({ offers }) => {
      offers[1] = offers[0] as Offer;
      offers[2] = offers[0] as Offer;
    };
    await expect(clientOf(fleet).enroll(enrolInput())).rejects.toMatchObject({ code: 'NOT_ENOUGH_REPLICAS' });
  });

  test('and a replica that offers another one’s key as its own are refused', async () => {
    const fleet = new SoftFleet();
    fleet.tamper.beginEnrollment = ({ offers: [first, second] }) => {
      if (!first || !second?.ticket) return;
      const { g, point, clientKey } = fleet.lastReceived('beginEnrollment', BeginEnrollmentRequestSchema);
      const { publicKey, evaluated } = first;
      const { name, statement } = fleet;
      const view = { fleet: name, epoch: statement.epoch, index: 2, rid: recordTranscript(name, SoftFleet.tenant, RECORD).digest, g };
      const { digest } = ticketHashTranscript(2, second.ticket);
      const signature = fleet.replica(2).sign(offerTranscript({ ...view, point, clientKey, publicKey, evaluated }, digest));
      Object.assign(second, { publicKey, evaluated, signature });
    };
    await expect(clientOf(fleet).enroll(enrolInput())).rejects.toMatchObject({ code: 'REPLY_UNTRUSTED' });
    expect(fleet.received('finishEnrollment')).toEqual([]);
  });

  test('who forges the word of t replicas is not believed', async () => {
    const fleet = new SoftFleet();
    fleet.tamper.finishEnrollment = ({ enrolled }) =>
      forge(enrolled.slice(1), (claim) => Object.assign(claim, { signature: randomBytes(64) }));
    await expect(clientOf(fleet).enroll(enrolInput())).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' });
  });
});

describe('a hostile coordinator at recovery', () => {
  test('who shows another record’s receipts is refused', async () => {
    const fleet = new SoftFleet();
    await clientOf(fleet).enroll(enrolInput());
    await clientOf(fleet).enroll(enrolInput({ recordId: 'account-2' }));
    const other = fleet.bodyOf('account-2');
    fleet.tamper.beginRecovery = (reply) => {
      reply.evaluations = fleet.replicas.map((replica) => replica.evaluate(fleet.statement, other, 1, anyPoint()));
      reply.body = other.body;
    };
    await expect(clientOf(fleet).recover({ recordId: RECORD, code: CODE })).rejects.toMatchObject({ code: 'REPLY_UNTRUSTED' });
  });

  test('with fewer than t hostile replicas cannot have a bent mask tried', async () => {
    const fleet = new SoftFleet();
    await clientOf(fleet).enroll(enrolInput());
    fleet.tamper.beginRecovery = (reply) => {
      const { body } = reply;
      if (!body) return;
      const [share] = body.shares;
      if (share) body.shares[0] = { ...share, mask: randomBytes(32) };
      const { point } = fleet.lastReceived('beginRecovery', BeginRecoveryRequestSchema);
      reply.evaluations[0] = fleet.replica(1).evaluate(fleet.statement, parseBody(body), 1, point);
    };
    await expect(clientOf(fleet).recover({ recordId: RECORD, code: CODE })).rejects.toMatchObject({ code: 'REPLY_UNTRUSTED' });
  });

  test('who tampered once has spent nothing: the same code again is the same attempt', async () => {
    const fleet = new SoftFleet();
    const client = clientOf(fleet);
    await client.enroll(enrolInput());
    fleet.tamper.beginRecovery = (reply) =>
      forge(reply.evaluations, (evaluation) => Object.assign(evaluation, { signature: randomBytes(64) }));
    await expect(client.recover({ recordId: RECORD, code: CODE })).rejects.toMatchObject({ code: 'REPLY_UNTRUSTED' });
    delete fleet.tamper.beginRecovery;
    expect(await client.recover({ recordId: RECORD, code: CODE })).toMatchObject({ attempt: 1 });
  });
});

describe('hostile replicas, as many as leave t honest ones', () => {
  test('do not keep the backup key from its owner', async () => {
    const scenario = fc.record({
      replicas: fc.integer({ min: 3, max: 7 }),
      order: fc.shuffledSubarray([1, 2, 3, 4, 5, 6, 7], { minLength: 7 }),
      kinds: fc.array(fc.constantFrom('lies', 'liesAtRelease'), { minLength: 7, maxLength: 7 }),
    });
    await fc.assert(
      fc.asyncProperty(scenario, async ({ replicas, order, kinds }) => {
        const fleet = new SoftFleet({ replicas });
        const input = enrolInput();
        await clientOf(fleet).enroll(input);
        const hostile = order.filter((index) => index <= replicas).slice(0, replicas - fleet.statement.threshold);
        for (const index of hostile) Object.assign(fleet.replica(index), { [kinds[index - 1] as string]: true });
        const { backupKey } = await clientOf(fleet).recover({ recordId: RECORD, code: CODE, renew: false });
        expect(backupKey.expose()).toEqual(input.backupKey.expose());
      }),
      { numRuns: 10 },
    );
  }, 60_000);

  test('learn nothing of the code from what the client does next', async () => {
    for (const lies of [false, true]) {
      const fleet = new SoftFleet();
      await clientOf(fleet).enroll(enrolInput());
      fleet.replica(1).lies = lies;
      await clientOf(fleet).recover({ recordId: RECORD, code: CODE, renew: false });
      // One request each, and a proof for every holder, whoever lied.
      expect(fleet.received('beginRecovery').length).toBe(1);
      expect(fleet.received('finishRecovery').length).toBe(1);
      const { proofs } = fleet.lastReceived('finishRecovery', FinishRecoveryRequestSchema);
      expect(proofs.map(({ index }) => index)).toEqual([1, 2, 3]);
    }
  });

  test('do not make a wrong code right', async () => {
    const fleet = new SoftFleet();
    await clientOf(fleet).enroll(enrolInput());
    fleet.replica(1).lies = true;
    await expect(clientOf(fleet).recover({ recordId: RECORD, code: WRONG })).rejects.toMatchObject({ code: 'WRONG_CODE' });
    expect(fleet.received('finishRecovery')).toEqual([]);
  });
});

test('a share released under another session is refused', async () => {
  const fleet = new SoftFleet();
  await clientOf(fleet).enroll(enrolInput());
  fleet.tamper.finishRecovery = ({ releases }) =>
    forge(releases.slice(1), (release) => Object.assign(release, { sealed: randomBytes(40) }));
  await expect(clientOf(fleet).recover({ recordId: RECORD, code: CODE })).rejects.toMatchObject({ code: 'REPLY_UNTRUSTED' });
});
