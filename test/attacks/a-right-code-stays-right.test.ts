import { create } from '@bufbuild/protobuf';
import { randomBytes } from '@noble/hashes/utils.js';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { publicKeyOf, randomScalar } from '../../client/curve.ts';
import type { TokenPort } from '../../daemon/token/port.ts';
import { VaultError } from '../../primitives/errors.ts';
import { SecretBytes } from '../../primitives/secret-bytes.ts';
import { type GrantedPoint, GrantedPointSchema } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { EvaluateRequestSchema, type Vote, type VoteRequest, VoteRequestSchema } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import { type BeginRecoveryRequest, BeginRecoveryResponseSchema, type Evaluation } from '../../proto/gen/backupvault/v1/vault_pb.ts';
import type { HashedBody } from '../../protocol/body.ts';
import { pointTranscript, receiptTranscript, voteTranscript } from '../../protocol/transcripts.ts';
import { placesOf } from '../integration/support/counted-fleet.ts';
import { CODE } from '../integration/support/draft.ts';
import { eventually } from '../integration/support/eventually.ts';
import { type OwnFleet, startOwnFleet } from '../integration/support/own-fleet.ts';
import { refusalOf } from '../integration/support/refusals.ts';
import { openStolenToken } from '../integration/support/stolen-token.ts';
import { coordinateAs, type LyingCoordinator } from './lying-coordinator.ts';
import { type Liar, lieAs, silence } from './lying-peer.ts';

// One of three replicas is hostile, with its certificate, its token and the place of the coordinator that is asked first. Its answers are
// signed, and false. With one true answer beside it, and the other one out of the way, the right code looks wrong.

const policy = { limit: 5, coolDownMs: 0 };
const HOSTILE = 1;
const records = ['left-out', 'renumbered'];
const backupKeys = new Map<string, Uint8Array>();
let own: OwnFleet;
let token: TokenPort;
let coordinator: LyingCoordinator;
let peer: Liar;
let gathered = 0;

const asHostile = (index: number) => own.world.peer(index, own.world.replica(HOSTILE).tls).calls;
const account = (recordId: string) => ({ tenant: own.world.client.tenant, recordId });

const bodyOf = (recordId: string): Promise<HashedBody> => own.world.committed(own.world.rid(recordId));

const named = ({ fleet, epoch }: OwnFleet['world']['statement'], { body: { rid, g }, bodyHash }: HashedBody, attempt: number) => ({
  ...{ fleet, epoch, rid, g, bodyHash, attempt },
});

async function vote(hashed: HashedBody, attempt: number, point: Uint8Array): Promise<Vote> {
  const name = { ...named(own.world.statement, hashed, attempt), pointHash: pointTranscript(point).digest };
  return { $typeName: 'backupvault.v1.Vote', index: HOSTILE, signature: await token.sign(voteTranscript(HOSTILE, name).digest) };
}

async function falseAnswer(hashed: HashedBody, attempt: number, point: Uint8Array): Promise<Evaluation> {
  const evaluated = publicKeyOf(randomScalar().expose()).slice(1);
  const { limit } = hashed.body.policy;
  const said = { index: HOSTILE, evaluated, enrolledAtMs: 1n, used: attempt };
  const { digest } = receiptTranscript({ ...named(own.world.statement, hashed, attempt), ...said, limit, point });
  return { $typeName: 'backupvault.v1.Evaluation', ...said, signature: await token.sign(digest) };
}

const voteRequest = (hashed: HashedBody, { recordId, point, grant }: BeginRecoveryRequest, attempt: number, shown: GrantedPoint[] = []) =>
  create(VoteRequestSchema, {
    ...{ account: account(recordId), g: hashed.body.g, bodyHash: hashed.bodyHash, attempt, point, grant, shown },
    epoch: BigInt(own.world.statement.epoch),
  });

/** Its own false answer and a true one of replica 2, and nobody is silent. */
async function gather(request: BeginRecoveryRequest) {
  gathered++;
  const hashed = await bodyOf(request.recordId);
  const { $typeName: _, epoch: __, ...asked }: VoteRequest = voteRequest(hashed, request, 1);
  const second = (await asHostile(2).vote(voteRequest(hashed, request, 1))).vote as Vote;
  const votes = [await vote(hashed, 1, request.point), second];
  const { evaluation } = await asHostile(2).evaluate(create(EvaluateRequestSchema, { ...asked, votes }));
  const evaluations = [await falseAnswer(hashed, 1, request.point), evaluation as Evaluation];
  return create(BeginRecoveryResponseSchema, { body: hashed.body, attempt: 1, evaluations, silent: [] });
}

beforeAll(async () => {
  own = await startOwnFleet({ etcdMembers: 1 });
  const { world, fleet } = own;
  for (const recordId of records) {
    const backupKey = randomBytes(32);
    backupKeys.set(recordId, backupKey);
    const enroll = async () =>
      (await world.device().enroll({ recordId, code: CODE, backupKey: new SecretBytes(backupKey.slice()), policy })).holders.join();
    expect(await eventually('1,2,3', enroll)).toBe('1,2,3');
  }
  coordinator = await coordinateAs(own, HOSTILE);
  await fleet.replica(HOSTILE).process.stop();
  token = await openStolenToken(world, HOSTILE);
  const answers = {
    ...silence,
    vote: async (request: VoteRequest) => ({
      vote: await vote(await bodyOf(request.account?.recordId ?? ''), request.attempt, request.point),
    }),
    evaluate: async (request: VoteRequest) => ({
      evaluation: await falseAnswer(await bodyOf(request.account?.recordId ?? ''), request.attempt, request.point),
    }),
  };
  peer = await lieAs(placesOf(fleet), HOSTILE, { name: 'answers falsely', answers: () => answers as never });
});

afterAll(async () => {
  coordinator?.end();
  peer?.end();
  await token?.close();
  await own?.stop();
});

beforeEach(() => {
  gathered = 0;
  const honest = own.world.frontend(own.world.client.tls, own.world.client.addresses[1] as string);
  coordinator.lies = {
    getFleet: (_, request) => honest.getFleet(request),
    describeRecord: (_, request) => honest.describeRecord(request),
    finishRecovery: (_, request) => honest.finishRecovery(request),
    beginRecovery: (_, request) => gather(request as BeginRecoveryRequest),
  };
});

/** A device whose frontend asks the hostile one first. */
function device() {
  const { world } = own;
  const [, second, third] = world.client.addresses as [string, string, string];
  return world.device(world.transport({ ...world.client, addresses: [coordinator.address, second, third] }));
}

async function expectRight(vault: ReturnType<typeof device>, recordId: string): Promise<void> {
  const recovered = await vault.recover({ recordId, code: CODE, renew: false });
  expect(recovered.backupKey.expose()).toEqual(new Uint8Array(backupKeys.get(recordId) as Uint8Array));
  expect(recovered.attempt).toBe(1);
  expect(gathered).toBe(1);
}

test('where the coordinator leaves a holder out', async () => {
  await expectRight(device(), 'left-out');
});

test('where it had the point counted at that holder under another number', async () => {
  const vault = device();
  const recordId = 'renumbered';
  let withheld: GrantedPoint | undefined;
  coordinator.lies.beginRecovery = async (_, { point, grant }) => {
    withheld = create(GrantedPointSchema, { hash: pointTranscript(point as Uint8Array).digest, grant: grant as string });
    throw new VaultError('EXHAUSTED', 'So the coordinator says.');
  };
  expect(await refusalOf(vault.recover({ recordId, code: 'a code that the user thought of first' }))).toBe('EXHAUSTED');
  coordinator.lies.beginRecovery = async (_, request) => {
    const asked = request as BeginRecoveryRequest;
    await asHostile(3).vote(voteRequest(await bodyOf(recordId), asked, 2, [withheld as GrantedPoint]));
    return gather(asked);
  };
  await expectRight(vault, recordId);
});
