import { fromBinary, toJsonString } from '@bufbuild/protobuf';
import { p256 } from '@noble/curves/nist.js';
import { randomBytes } from '@noble/hashes/utils.js';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Ticket } from '../proto/gen/backupvault/v1/record_pb.ts';
import {
  BeginEnrollmentRequestSchema,
  BeginRecoveryRequestSchema,
  type FinishRecoveryRequest,
  FinishRecoveryRequestSchema,
  type FinishRecoveryResponse,
  type Offer,
} from '../proto/gen/backupvault/v1/vault_pb.ts';
import { parseBody } from '../protocol/body.ts';
import { offerFields, parseTicket } from '../protocol/offer.ts';
import { ridFor } from '../protocol/record-id.ts';
import { CODE, clientOf, enrolInput, InstantClock, RECORD, WRONG } from '../test/harness/soft-client.ts';
import { SoftFleet } from '../test/harness/soft-fleet.ts';

/** Changes what several replicas said. */
function forge<T>(claims: readonly T[], change: (claim: T) => void): void {
  for (const claim of claims) change(claim);
}

const anyPoint = () => p256.keygen().publicKey;
const anyX = () => anyPoint().slice(1);
const NO_X = new Uint8Array(32).fill(1); // of no point of the curve

const ticketOf = (offer: Offer | undefined) => (offer as Offer).ticket as Ticket;

test('the x coordinate that is none is none', () => {
  expect(() => p256.Point.fromBytes(Uint8Array.of(2, ...NO_X))).toThrow();
});

describe('a hostile coordinator at enrolment', () => {
  const inTicket = (change: Partial<Ticket>) => (offer: Offer) => Object.assign(ticketOf(offer), change);
  test.each<[string, (offer: Offer) => void]>([
    ['Z', (offer) => inTicket({ evaluated: anyX() })(offer)],
    ['F', (offer) => inTicket({ releaseElement: anyX() })(offer)],
    ['a Z that is no x of the curve', inTicket({ evaluated: NO_X })],
    ['an F that is no x of the curve', inTicket({ releaseElement: NO_X })],
    ['an F with its sign', (offer) => inTicket({ releaseElement: anyPoint() })(offer)],
    ['a nonce', (offer) => inTicket({ nonce: randomBytes(16) })(offer)],
    ['the time of expiry', inTicket({ expiresAtMs: 1n })],
    ['the count of changes', inTicket({ changes: 7n })],
    ['a tag', (offer) => inTicket({ tag: randomBytes(32) })(offer)],
    ['an index', inTicket({ index: 9 })],
    ['a signature', (offer) => Object.assign(offer, { signature: randomBytes(64) })],
    ['a signature of no length', (offer) => Object.assign(offer, { signature: new Uint8Array(0) })],
    ['nothing for a ticket', (offer) => Object.assign(offer, { ticket: undefined })],
  ])('who substitutes %s takes one replica’s offer away, and no more', async (_, change) => {
    const fleet = new SoftFleet();
    fleet.tamper.beginEnrollment = ({ offers }) => change(offers[0] as Offer);
    expect(await clientOf(fleet).enroll(enrolInput())).toMatchObject({ holders: [2, 3] });
    fleet.tamper.beginEnrollment = ({ offers }) => forge(offers.slice(1), change);
    await expect(clientOf(fleet).enroll(enrolInput({ recordId: 'account-2' }))).rejects.toMatchObject({ code: 'REPLY_UNTRUSTED' });
  });

  test.each([
    { what: 'point', change: () => ({ point: anyPoint() }) },
    { what: 'proof key', change: () => ({ proofKey: anyPoint() }) },
    { what: 'generation', change: () => ({ g: randomBytes(16) }) },
    { what: 'record', change: () => ({ rid: randomBytes(32) }) },
  ])('who asks replicas for offers to another $what gets nothing to store', async ({ change }) => {
    const fleet = new SoftFleet();
    fleet.tamper.beginEnrollment = (reply) => {
      reply.offers = fleet.replicas.map((replica) => replica.offer(fleet.statement, { ...askedOf(fleet), ...change() }));
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

  test.each(['evaluated', 'releaseElement'] as const)(
    'and a replica that offers another one’s %s as its own are refused',
    async (field) => {
      const fleet = new SoftFleet();
      fleet.tamper.beginEnrollment = ({ offers }) => {
        offers[1] = signAgain(fleet, offers[1], { [field]: ticketOf(offers[0])[field] });
      };
      await expect(clientOf(fleet).enroll(enrolInput())).rejects.toMatchObject({ code: 'REPLY_UNTRUSTED' });
      expect(fleet.received('finishEnrollment')).toEqual([]);
    },
  );

  // It signs for what it must know to be no use to it: the code's owner loses that replica, and no more.
  test.each([
    ['Z that is no x of the curve', { evaluated: NO_X }],
    ['F that is no x of the curve', { releaseElement: NO_X }],
    ['nonce of another length', { nonce: randomBytes(15) }],
  ])('and a replica that signs for a %s lose that offer', async (_, change) => {
    const fleet = new SoftFleet();
    fleet.tamper.beginEnrollment = ({ offers }) => {
      offers[1] = signAgain(fleet, offers[1], change);
    };
    expect(await clientOf(fleet).enroll(enrolInput())).toMatchObject({ holders: [1, 3] });
  });

  test('and a replica that offers the F of another record lose that replica at recovery, and no more', async () => {
    const fleet = new SoftFleet();
    const [first, input] = [clientOf(fleet), enrolInput()];
    let elsewhere: Offer | undefined;
    fleet.tamper.beginEnrollment = ({ offers }) => {
      elsewhere ??= offers[1];
      offers[1] = signAgain(fleet, offers[1], { releaseElement: ticketOf(elsewhere).releaseElement });
    };
    await first.enroll(enrolInput({ recordId: 'account-2' }));
    expect(await first.enroll(input)).toMatchObject({ holders: [1, 3] }); // its token does not come to that F again
    const { backupKey } = await clientOf(fleet).recover({ recordId: RECORD, code: CODE, renew: false });
    expect(backupKey.expose()).toEqual(input.backupKey.expose());
  });

  test('who forges the word of t replicas is not believed', async () => {
    const fleet = new SoftFleet();
    fleet.tamper.finishEnrollment = ({ enrolled }) =>
      forge(enrolled.slice(1), (claim) => Object.assign(claim, { signature: randomBytes(64) }));
    await expect(clientOf(fleet).enroll(enrolInput())).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' });
  });

  /** What the client asked for last. */
  function askedOf(fleet: SoftFleet) {
    const { g, point, proofKey } = fleet.lastReceived('beginEnrollment', BeginEnrollmentRequestSchema);
    return { rid: ridFor(fleet.name, SoftFleet.tenant, RECORD), g, point, proofKey };
  }

  /** An offer with changes that its replica signs for. */
  function signAgain(fleet: SoftFleet, offer: Offer | undefined, change: Partial<Ticket>): Offer {
    const { recordId } = fleet.lastReceived('beginEnrollment', BeginEnrollmentRequestSchema);
    const rid = ridFor(fleet.name, SoftFleet.tenant, recordId);
    const { name, statement } = fleet;
    const ticket = parseTicket(ticketOf(offer));
    const fields = offerFields({ fleet: name, epoch: statement.epoch, ...askedOf(fleet), rid }, ticket);
    return fleet.replica(ticket.index).offerOf({ ...fields, ...change } as typeof fields);
  }
});

describe('a hostile coordinator at recovery', () => {
  test('who shows another record’s receipts is refused', async () => {
    const fleet = new SoftFleet();
    await clientOf(fleet).enroll(enrolInput());
    await clientOf(fleet).enroll(enrolInput({ recordId: 'account-2' }));
    const other = fleet.bodyOf('account-2');
    fleet.tamper.beginRecovery = (reply) => {
      reply.evaluations = fleet.replicas.map((replica) => replica.evaluate(fleet.statement, other, { attempt: 1, used: 1 }, anyPoint()));
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
      reply.evaluations[0] = fleet.replica(1).evaluate(fleet.statement, parseBody(body), { attempt: 1, used: 1 }, point);
    };
    await expect(clientOf(fleet).recover({ recordId: RECORD, code: CODE })).rejects.toMatchObject({ code: 'REPLY_UNTRUSTED' });
  });

  test.each([
    ['a Z that is no x of the curve', NO_X],
    ['a Z with its sign', anyPoint()],
  ])('and a replica that signs for %s lose that answer, and no more', async (_, evaluated) => {
    const fleet = new SoftFleet();
    await clientOf(fleet).enroll(enrolInput());
    fleet.tamper.beginRecovery = (reply) => {
      const { point } = fleet.lastReceived('beginRecovery', BeginRecoveryRequestSchema);
      reply.evaluations[0] = fleet
        .replica(1)
        .receipt(fleet.statement, fleet.bodyOf(RECORD), { attempt: 1, used: 1, limit: 10 }, point, evaluated);
    };
    expect(await clientOf(fleet).recover({ recordId: RECORD, code: CODE, renew: false })).toMatchObject({ attempt: 1 });
    fleet.silent.add(2);
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
  });

  test('learn nothing of the code from what the client does next', async () => {
    for (const lies of [false, true]) {
      const fleet = new SoftFleet();
      await clientOf(fleet).enroll(enrolInput());
      fleet.replica(1).lies = lies;
      await clientOf(fleet).recover({ recordId: RECORD, code: CODE, renew: false });
      // One request each, the same for every holder, whoever lied.
      expect(fleet.received('beginRecovery').length).toBe(1);
      expect(fleet.received('finishRecovery').length).toBe(1);
      expect(fleet.lastReceived('finishRecovery', FinishRecoveryRequestSchema)).toMatchObject({ turn: 0 });
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

describe('a hostile coordinator at release', () => {
  type Change = (reply: FinishRecoveryResponse, fleet: SoftFleet) => void;

  /** Enrols, and changes what the coordinator of the first `hostile` turns answers. */
  async function recoverPast(hostile: number, change: Change, replicas = 3) {
    const fleet = new SoftFleet({ replicas });
    const [input, clock] = [enrolInput(), new InstantClock()];
    const client = clientOf(fleet, clock);
    await client.enroll(input);
    const turns: number[] = [];
    fleet.tamper.finishRecovery = (reply) => {
      const { turn } = lastFinish(fleet);
      turns.push(turn);
      if (turn < hostile) change(reply, fleet);
    };
    const recover = () => client.recover({ recordId: RECORD, code: CODE, renew: false });
    return { fleet, input, clock, turns, recover };
  }

  const lastFinish = (fleet: SoftFleet): FinishRecoveryRequest => fleet.lastReceived('finishRecovery', FinishRecoveryRequestSchema);
  const forged =
    (change: () => object): Change =>
    ({ releases }) =>
      forge(releases.slice(1), (release) => Object.assign(release, change()));

  const changes: [string, Change][] = [
    ['answers', forged(() => ({ released: anyX() }))],
    ['answers to what is no x of the curve', forged(() => ({ released: NO_X }))],
    ['answers to points', forged(() => ({ released: anyPoint() }))],
    ['signatures', forged(() => ({ signature: randomBytes(64) }))],
    ['whose answer is whose', ({ releases }) => forge(releases, (release) => Object.assign(release, { index: 4 - release.index }))],
    ['B', (reply, fleet) => resign(reply, fleet, { blindedBase: anyPoint() })],
    ['the attempt', (reply, fleet) => resign(reply, fleet, { attempt: 2 })],
    ['the point', (reply, fleet) => resign(reply, fleet, { point: anyPoint() })],
  ];

  /** Honest holders' answers to something else than the client asked. */
  function resign(reply: FinishRecoveryResponse, fleet: SoftFleet, change: Partial<FinishRecoveryRequest>): void {
    const asked = { ...lastFinish(fleet), ...change };
    reply.releases = fleet.replicas.map((replica) => replica.releaseOf(fleet.statement, fleet.bodyOf(RECORD), asked, anyX()));
  }

  test.each(changes)('who changes %s is told apart from lying holders: recovery goes on at another', async (_, change) => {
    const { input, clock, turns, recover } = await recoverPast(1, change);
    expect((await recover()).backupKey.expose()).toEqual(input.backupKey.expose());
    expect(turns).toEqual([0, 1]);
    expect(clock.slept).toBe(0);
  });

  test.each(changes)('who changes %s at every replica has made nothing final', async (_, change) => {
    const { fleet, input, turns, recover } = await recoverPast(3, change);
    await expect(recover()).rejects.toMatchObject({ code: 'REPLY_UNTRUSTED' });
    expect(turns).toEqual([0, 1, 2]); // as many as the fleet has replicas
    expect((await recover()).backupKey.expose()).toEqual(input.backupKey.expose());
    expect(turns).toEqual([0, 1, 2, 3]);
    expect(fleet.attemptsOf(RECORD)).toBe(1);
  });

  test('who says that the proof is wrong is not believed', async () => {
    const { fleet, input, turns, recover } = await recoverPast(0, () => {});
    fleet.fail('finishRecovery', 'PROOF_REFUSED');
    expect((await recover()).backupKey.expose()).toEqual(input.backupKey.expose());
    expect(turns).toEqual([1]);
  });

  test('who leaves honest holders out is outdone by another', async () => {
    const { fleet, input, turns, recover } = await recoverPast(
      1,
      (reply) => {
        reply.releases = reply.releases.slice(0, 3);
      },
      5,
    );
    fleet.replica(1).liesAtRelease = true;
    expect((await recover()).backupKey.expose()).toEqual(input.backupKey.expose());
    expect(turns).toEqual([0, 1]);
  });

  test('cannot take away what a holder released at an earlier turn', async () => {
    const { input, turns, recover } = await recoverPast(2, (reply, fleet) => {
      const kept = lastFinish(fleet).turn === 0 ? 1 : 2;
      forge(
        reply.releases.filter(({ index }) => index !== kept),
        (release) => Object.assign(release, { released: anyX() }),
      );
    });
    expect((await recover()).backupKey.expose()).toEqual(input.backupKey.expose());
    expect(turns).toEqual([0, 1]);
  });

  test('sends the same request at each turn, so that no holder learns which', async () => {
    const { fleet, recover } = await recoverPast(2, changes[0]?.[1] as Change);
    await recover();
    const sent = fleet.received('finishRecovery').map((bytes) => fromBinary(FinishRecoveryRequestSchema, bytes));
    expect(new Set(sent.map((request) => toJsonString(FinishRecoveryRequestSchema, { ...request, turn: 0 }))).size).toBe(1);
    expect(sent.length).toBe(3);
  });
});

describe('holders that lie at release', () => {
  test('are done without, and are no reason to ask another coordinator', async () => {
    const fleet = new SoftFleet({ replicas: 5 });
    const input = enrolInput();
    await clientOf(fleet).enroll(input);
    for (const index of [2, 4]) fleet.replica(index).liesAtRelease = true;
    const { backupKey } = await clientOf(fleet).recover({ recordId: RECORD, code: CODE, renew: false });
    expect(backupKey.expose()).toEqual(input.backupKey.expose());
    expect(fleet.received('finishRecovery').length).toBe(1);
  });

  test('and leave fewer than t: the key is there for whoever asks when they are right again', async () => {
    const fleet = new SoftFleet();
    const input = enrolInput();
    const client = clientOf(fleet);
    await client.enroll(input);
    for (const index of [2, 3]) fleet.replica(index).liesAtRelease = true;
    await expect(client.recover({ recordId: RECORD, code: CODE })).rejects.toMatchObject({ code: 'NOT_ENOUGH_REPLICAS' });
    fleet.replica(3).liesAtRelease = false;
    const { backupKey } = await client.recover({ recordId: RECORD, code: CODE, renew: false });
    expect(backupKey.expose()).toEqual(input.backupKey.expose());
    expect(fleet.attemptsOf(RECORD)).toBe(1);
  });
});
