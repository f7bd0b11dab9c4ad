import { create } from '@bufbuild/protobuf';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { proofKey } from '../../client/derive.ts';
import { renderShown } from '../../daemon/ledger/guarded.ts';
import { Register } from '../../daemon/ledger/register.ts';
import { systemClock } from '../../primitives/clock.ts';
import type { ShownGeneration, Signed } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { OfferRequestSchema, PromoteRequestSchema } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import type { Ticket } from '../../protocol/offer.ts';
import { beginEnrolmentTranscript } from '../../protocol/transcripts.ts';
import { guess, voteRequest } from './support/attempt.ts';
import { type Draft, draftEnrolment, enrolled, finishSignature, grantFor, prepareRequest } from './support/draft.ts';
import { type Rules, refusalOf, surprises } from './support/refusals.ts';
import { World } from './support/world.ts';

// At replica 1, every single change of every field of what it is sent.

let world: World;

beforeAll(async () => {
  world = await World.open();
});

afterAll(() => world?.close());

const tenant: Rules = [[/^account\.tenant/, 'FOREIGN_TENANT']];
const malformedPoint = (field: string): RegExp => new RegExp(`${field} (longer|shorter|first bit)`);

test('of a request for an offer', async () => {
  const { recordId, rid, g, s, blinded } = await draftEnrolment(world, 'offers');
  const asked = { g, point: blinded.point, proofKey: proofKey(s.expose(), rid, g) };
  const authorises = beginEnrolmentTranscript(asked.point, asked.proofKey).digest;
  const grant = await world.grant({ operation: 'begin-enrolment', recordId, g, authorises });
  const message = create(OfferRequestSchema, { account: { tenant: world.client.tenant, recordId }, ...asked, grant });
  const { offer } = world.peer(1).calls;
  const rules: Rules = [
    ...tenant,
    [/^account\.recordId/, 'GRANT_REFUSED'],
    [/^g (longer|shorter)/, 'MALFORMED'],
    [malformedPoint('^(point|proofKey)'), 'MALFORMED'],
    [/^(point|proofKey) last bit/, 'GRANT_REFUSED', 'MALFORMED'], // half of all x have no point
    [/^(g|grant) /, 'GRANT_REFUSED'],
  ];
  expect(await surprises(message, offer, rules)).toEqual([]);
  expect(await refusalOf(offer(message))).toBe('ACCEPTED');
});

/** Fields whose form is checked before anything else is. */
const form: Rules = [
  [/^body\.version/, 'MALFORMED'],
  [/^body\.(rid|g|ownerKey) (longer|shorter)/, 'MALFORMED'],
  [malformedPoint('^body\\.(proofKey|releaseBase)'), 'MALFORMED'],
  [/^body\.shares\.\d\.(mask|releaseMask) (longer|shorter)/, 'MALFORMED'],
  [/^body\.shares\.[01]\.index/, 'MALFORMED'], // then two have the same
];

const policy: Rules = [[/^body\.(fleet|epoch|rid|threshold|shares\.2\.index)/, 'POLICY_REFUSED']];

/** What nobody but the device and the replica can make, and in the order in which it is looked at. */
const finished: Rules = [
  [malformedPoint('^point'), 'MALFORMED'],
  [/^tags (longer|without)/, 'MALFORMED'],
  [/^(signature|tags\.\d) (longer|shorter)/, 'MALFORMED'],
  [/^(signature|tags)/, 'FINISH_REFUSED'],
  [/^ticket\.(evaluated|releaseElement|nonce|tag) (longer|shorter)/, 'MALFORMED'],
  [/^(point last bit|ticket)/, 'TICKET_REFUSED', 'MALFORMED'], // half of all x have no point
];

test('of the end of an enrolment, as anybody on the way may change it', async () => {
  const first = await enrolled(world, 'replaced');
  const draft = await draftEnrolment(world, 'replaced', { replaces: first }); // so that the owner's signature counts
  const message = await prepareRequest(world, draft, 1);
  const { prepare } = world.peer(1).calls;
  const rules: Rules = [
    ...tenant,
    [/^account\.recordId/, 'POLICY_REFUSED'],
    ...form,
    ...policy,
    [/^body\.(previous|payload|line) (longer|shorter)/, 'MALFORMED'],
    [/^body\.shares\.\d\.x/, 'GRANT_REFUSED', 'MALFORMED'], // x + 1 may be another share's
    [/^body\.(proofKey|releaseBase) last bit/, 'GRANT_REFUSED', 'MALFORMED'],
    [/^body\.shares without/, 'MALFORMED'], // there are as many tags as shares
    [/^(body|grant)/, 'GRANT_REFUSED'],
    [/^ownerSignature (longer|shorter)/, 'MALFORMED'],
    [/^ownerSignature/, 'OWNER_REFUSED'],
    ...finished,
  ];
  expect(await surprises(message, prepare, rules)).toEqual([]);
  expect(await refusalOf(prepare(message))).toBe('ACCEPTED');
});

test('of the body, as a frontend may change it that signs a grant for every change', async () => {
  const draft = await draftEnrolment(world, 'granted');
  const message = await prepareRequest(world, draft, 1);
  const { prepare } = world.peer(1).calls;
  const granted = async (body: Draft['body']) => prepare({ ...message, body, grant: await grantFor(world, draft, body) });
  const rules: Rules = [
    ...[...form, ...policy].map(([path, ...codes]): Rules[number] => [new RegExp(path.source.replace('^body\\.', '^')), ...codes]),
    [/^(previous longer|payload (longer|shorter)|shares without)/, 'MALFORMED'],
    [/^number/, 'GENERATION_CONFLICT'],
    [/^(g|line) /, 'MALFORMED'], // a first one begins a line of its own
    [/^shares\.\d\.x|^(proofKey|releaseBase) last bit/, 'FINISH_REFUSED', 'MALFORMED'],
    [/^(shares|policy|ownerKey|payload)/, 'FINISH_REFUSED'],
  ];
  expect(await surprises(draft.body, granted, rules)).toEqual([]);
  expect(await refusalOf(granted(draft.body))).toBe('ACCEPTED');
});

test('of the ticket, as the device itself may change it, which signs for every change', async () => {
  const draft = await draftEnrolment(world, 'signed-anew');
  const message = await prepareRequest(world, draft, 1);
  const [ticket, ...others] = draft.tickets as [Ticket, ...Ticket[]];
  const send = (changed: Ticket) => {
    const tickets = [changed, ...others];
    const signature = finishSignature(world, draft, draft.bodyHash, tickets);
    return world.peer(1).calls.prepare({ ...message, ticket: changed, tags: tickets.map(({ tag }) => tag), signature });
  };
  const rules: Rules = [
    [/^(evaluated|releaseElement|nonce|tag) (longer|shorter)/, 'MALFORMED'],
    [/^/, 'TICKET_REFUSED'],
  ];
  expect(await surprises(ticket, send, rules)).toEqual([]);
  expect(await refusalOf(send(ticket))).toBe('ACCEPTED');
});

test('of the commit: a replica promotes what etcd says was committed and t replicas prepared, and nothing else', async () => {
  const { draft, second } = await preparedByTwo('committed');
  await new Register(world.etcd, 1, systemClock).enrol(draft, [1, 2]);
  const { promote } = world.peer(1).calls;
  const account = { tenant: world.client.tenant, recordId: draft.recordId };
  const message = create(PromoteRequestSchema, { account, g: draft.g, prepared: [second] }); // with its own there are t
  const rules: Rules = [...tenant, [/^g (longer|shorter)/, 'MALFORMED'], [/^(account\.recordId|g|prepared)/, 'GENERATION_UNKNOWN']];
  expect(await surprises(message, promote, rules)).toEqual([]);
  expect(await refusalOf(promote(message))).toBe('ACCEPTED');
});

test('of what a replica that missed the commit is shown with a request for a vote', async () => {
  const { draft, second } = await preparedByTwo('missed-the-commit');
  await new Register(world.etcd, 1, systemClock).enrol(draft, [1, 2]);
  const { vote } = world.peer(1).calls;
  const message = voteRequest(draft, await guess(world, draft, 'a code'), 1);
  const showing = (prepared: Signed[]) => vote({ ...message, prepared });
  expect(await surprises([second], showing, [[/^/, 'GENERATION_UNKNOWN']])).toEqual([]);
  expect(await refusalOf(showing([second]))).toBe('ACCEPTED');
});

test('of what is replaced, as a replica is shown it that missed that', async () => {
  const first = await enrolled(world, 'missed-what-is-replaced', { among: [2, 3] });
  const draft = await draftEnrolment(world, 'missed-what-is-replaced', { replaces: first });
  const message = await prepareRequest(world, draft, 1);
  const showing = (replaced: ShownGeneration) => world.peer(1).calls.prepare({ ...message, replaced });
  const shown = renderShown(await world.committed(first.rid));
  expect(shown.prepared).toHaveLength(2);
  const rules: Rules = [
    [/^body/, 'NOT_ENOUGH_REPLICAS', 'MALFORMED'], // it is not what etcd names
    [/^prepared/, 'GENERATION_CONFLICT'],
  ];
  expect(await surprises(shown, showing, rules)).toEqual([]);
  expect(await refusalOf(showing(shown))).toBe('ACCEPTED');
});

/** By replicas 1 and 2, and by what the second signed. */
async function preparedByTwo(recordId: string) {
  const draft = await draftEnrolment(world, recordId);
  const prepare = async (index: number) => (await world.peer(index).calls.prepare(await prepareRequest(world, draft, index))).prepared;
  const [, second] = [await prepare(1), (await prepare(2)) as Signed];
  return { draft, second };
}
