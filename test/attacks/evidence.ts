import { create, type DescMessage, fromBinary, type Message, toBinary } from '@bufbuild/protobuf';
import { releaseMaskKey } from '../../client/derive.ts';
import { combineShares } from '../../client/shares.ts';
import { VaultClient } from '../../client/vault-client.ts';
import { type Bytes, concat, toHex, uint64, xor } from '../../primitives/bytes.ts';
import {
  AttemptsSchema,
  GenerationSchema,
  RecordState,
  ShownGenerationSchema,
  SubRecordSchema,
} from '../../proto/gen/backupvault/v1/record_pb.ts';
import { BeginRecoveryRequestSchema, FinishRecoveryRequestSchema, VaultService } from '../../proto/gen/backupvault/v1/vault_pb.ts';
import type { Body, HashedBody } from '../../protocol/body.ts';
import { pointTranscript, subRecordTranscript } from '../../protocol/transcripts.ts';
import { enrolInput, InstantClock, quickHash, RECORD } from '../harness/soft-client.ts';
import { SoftFleet } from '../harness/soft-fleet.ts';
import { ENROLLED_AT } from '../harness/soft-replica.ts';
import { type Evidence, type Open, shareIn } from './attacker.ts';
import { hmac } from './consequences.ts';
import { overheard } from './recorder.ts';
import { inverse, keyUnder, lifted, type Token, tweak, under } from './token-use.ts';

/** Of how many of four replicas, of which three are needed, the attacker has what. */
export interface Reach {
  /** The use of so many tokens, and their hosts. */
  readonly tokens: number;
  /** Seeds of so many are left anywhere: in guards, in etcd and its history. */
  readonly seeds: number;
}

/** All that went between a client and its vault. */
export interface Recorded {
  readonly fleet: SoftFleet;
  readonly messages: readonly object[];
}

/** Enrols a code and recovers it with a wrong one and with this one, while somebody listens. */
export async function record(code: string, wrong: string): Promise<Recorded> {
  const fleet = new SoftFleet({ replicas: 4 });
  const { name, policy } = fleet;
  const messages: object[] = [];
  const transport = overheard(fleet, ({ message }) => messages.push(message));
  const clock = new InstantClock();
  const client = new VaultClient({ transport, policy, fleet: name, tenant: SoftFleet.tenant, clock, argon2id: quickHash });
  await client.enroll(enrolInput({ code }));
  await client.recover({ recordId: RECORD, code: wrong }).catch(() => {}); // WRONG_CODE
  await client.recover({ recordId: RECORD, code, renew: false });
  return { fleet, messages };
}

/** What somebody with such a reach has of it. */
export async function evidenceOf({ fleet, messages }: Recorded, reach: Reach): Promise<Evidence> {
  const hashed = fleet.bodyOf(RECORD);
  const { body } = hashed;
  const tokens = fleet.replicas.slice(0, reach.tokens).map(({ token }) => token);
  const open = openedOf(fleet, body, tokens.slice(0, reach.seeds));
  const releaseSecret = await combineShares(open.map(({ index, release }) => ({ x: shareIn(body, index).x, y: release })));
  const scalars = scalarsOf(tokens, open, body);
  const products = scalars.map(under);
  const elements = elementsOf(messages, scalars);
  const known = messages.flatMap(byteStringsIn);
  const hosts = reach.seeds === 4 ? fleet.replicas.slice(0, reach.tokens).map(({ ticketSecret }) => ticketSecret) : [];
  return {
    ...{ body, open, releaseSecret, known, traffic: known, elements },
    finish: fleet.lastReceived('finishRecovery', FinishRecoveryRequestSchema),
    everything: [
      ...[...messages.map(encoded), ...known, ...elements, ...stored(fleet, hashed, reach.seeds), ...scalars, ...hosts, releaseSecret],
      ...[...tokens.map(({ macKey }) => macKey), ...open.flatMap(({ releaseMask, release }) => [releaseMask, release])],
    ],
    underEach: (point) => products.map((product) => product(point) as Bytes),
  };
}

/** What a replica's host can do with its token and its seed. */
function openedOf(fleet: SoftFleet, body: Body, tokens: readonly Token[]): Open[] {
  return tokens.map((token) => {
    const { seed } = fleet.replica(token.index).stateOf(body.g);
    const d = under(keyUnder(token, 'release', body, seed))(body.releaseBase) as Bytes;
    const releaseMask = releaseMaskKey(d, body.rid, body.g, token.index);
    const evaluated = under(keyUnder(token, 'oprf', body, seed));
    const release = xor(shareIn(body, token.index).releaseMask, releaseMask);
    return { ...token, seed: new Uint8Array(seed), evaluate: (point) => evaluated(point) as Bytes, releaseMask, release };
  });
}

/** Keys, tweaks, and their products. */
const scalarsOf = (tokens: readonly Token[], open: readonly Open[], body: Body): Uint8Array[] => [
  ...tokens.flatMap(({ oprfKey, releaseKey }) => [oprfKey, releaseKey]),
  ...open.flatMap((one) =>
    (['oprf', 'release'] as const).flatMap((use) => [tweak(one, use, body, one.seed), keyUnder(one, use, body, one.seed)]),
  ),
];

/** x of each element that a message names, and of its products. */
function elementsOf(messages: readonly object[], scalars: readonly Uint8Array[]): Uint8Array[] {
  const products = [...scalars, ...scalars.map(inverse)].map(under);
  const points = messages.flatMap(pointsIn).map((bytes) => (bytes.length === 33 ? bytes : lifted(bytes)));
  const distinct = [...new Map(points.map((point) => [toHex(point.slice(1)), point])).values()];
  return distinct.flatMap((point) => [point.slice(1), ...products.map((product) => product(point) as Bytes)]);
}

const POINTS = ['point', 'proofKey', 'releaseBase', 'blindedBase', 'evaluated', 'releaseElement', 'released'];

function pointsIn(message: object): Uint8Array[] {
  return Object.entries(message).flatMap(([name, value]) => {
    if (value instanceof Uint8Array) return POINTS.includes(name) ? [value] : [];
    return typeof value === 'object' && value !== null ? pointsIn(value) : [];
  });
}

/** In etcd and on the disks of guards, as a daemon would write it. */
function stored(fleet: SoftFleet, { body, bodyHash }: HashedBody, seeds: number): Uint8Array[] {
  const requests = fleet.received('beginRecovery').map((bytes) => fromBinary(BeginRecoveryRequestSchema, bytes));
  const points = requests.map(({ point, grant }) => ({ hash: pointTranscript(point).digest, grant }));
  const { limit, coolDownMs } = body.policy;
  const state = RecordState.LIVE;
  const attempts = create(AttemptsSchema, {
    incarnation: 1n,
    g: body.g,
    bodyHash,
    limit,
    coolDownMs,
    points,
    state,
    number: 1n,
    epoch: body.epoch,
    line: body.line,
    holders: fleet.replicas.map(({ index }) => index),
  });
  const subRecords = fleet.replicas.slice(0, seeds).map(({ index, token }) => {
    const { seed } = fleet.replica(index).stateOf(body.g);
    const enrolledAtMs = BigInt(ENROLLED_AT + index);
    const { digest } = subRecordTranscript({ fleet: body.fleet, index, rid: body.rid, g: body.g, bodyHash, seed, enrolledAtMs });
    return create(SubRecordSchema, { index, value: concat(seed, uint64(enrolledAtMs), hmac(token.macKey, digest)) });
  });
  const guards = subRecords.map((subRecord) => toBinary(GenerationSchema, create(GenerationSchema, { body, subRecord })));
  const shown = toBinary(ShownGenerationSchema, create(ShownGenerationSchema, { body })); // to any other replica, as one without its seed
  return [toBinary(AttemptsSchema, attempts), shown, ...guards];
}

function encoded(message: object): Uint8Array {
  const { $typeName } = message as Message;
  const schema = Object.values(VaultService.method)
    .flatMap(({ input, output }): DescMessage[] => [input, output])
    .find(({ typeName }) => typeName === $typeName);
  return toBinary(schema as DescMessage, message as Message);
}

export function byteStringsIn(value: unknown): Uint8Array[] {
  if (value instanceof Uint8Array) return [value];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(byteStringsIn) : [];
}
