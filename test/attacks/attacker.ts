import { createECDH } from 'node:crypto';
import { create, type DescMessage, fromBinary, type Message, toBinary } from '@bufbuild/protobuf';
import { p256, p256_hasher } from '@noble/curves/nist.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { maskKey } from '../../client/derive.ts';
import { combineShares, type Share } from '../../client/shares.ts';
import { stretch } from '../../client/stretch.ts';
import { VaultClient } from '../../client/vault-client.ts';
import { type Bytes, concat, utf8, xor } from '../../primitives/bytes.ts';
import { AttemptsSchema, RecordSchema, RecordState } from '../../proto/gen/backupvault/v1/record_pb.ts';
import {
  BeginRecoveryRequestSchema,
  type FinishRecoveryRequest,
  FinishRecoveryRequestSchema,
  VaultService,
} from '../../proto/gen/backupvault/v1/vault_pb.ts';
import { type Body, type HashedBody, shareOf } from '../../protocol/body.ts';
import { pointTranscript, recordTranscript } from '../../protocol/transcripts.ts';
import { enrolInput, InstantClock, quickHash, RECORD } from '../harness/soft-client.ts';
import { SoftFleet } from '../harness/soft-fleet.ts';
import type { SoftReplica } from '../harness/soft-replica.ts';
import { overheard } from './recorder.ts';

type Point = InstanceType<typeof p256.Point>;

/** What the attacker has of one record. */
export interface Evidence {
  readonly body: Body;
  /** Everything that the hostile replicas know. */
  readonly hostile: readonly ReturnType<SoftReplica['stateOf']>[];
  /** R, if it took no more than the hostile replicas' shares. */
  readonly releaseSecret: Bytes;
  /** How the true code was proved. */
  readonly finish: FinishRecoveryRequest;
  /** Every byte string of every message between the client and the vault, of an enrolment and two recoveries. */
  readonly known: readonly Uint8Array[];
  /** The same as it was heard, which no flaw of a record changes. */
  readonly traffic: readonly Uint8Array[];
  /** All that there is to search: the messages as they were encoded, what etcd holds, and the hostile replicas' state. */
  readonly everything: readonly Uint8Array[];
}

/** What a code is by itself: the record's name is the same in every trial, so this is computed once. */
export interface Candidate {
  readonly code: string;
  readonly input: Bytes;
  /** The element of the group that is blinded. */
  readonly element: Point;
  /** The code as a blind. */
  readonly scalar: bigint;
  readonly selfBlinded: Point;
}

export async function makeCandidate(code: string): Promise<Candidate> {
  const { name } = new SoftFleet();
  const rid = recordTranscript(name, SoftFleet.tenant, RECORD).digest;
  const input = (await stretch(code, name, rid, quickHash)).expose();
  const element = p256_hasher.hashToCurve(input, { DST: 'HashToGroup-OPRFV1-\x00-P256-SHA256' }).precompute(6, false);
  const scalar = p256.Point.Fn.create(BigInt(`0x${Buffer.from(input).toString('hex')}`));
  return { code, input, element, scalar, selfBlinded: element.multiplyUnsafe(scalar) };
}

/** What the hostile replicas' keys make of a candidate: the dear part, which no change of a body changes. */
export interface Evaluated extends Candidate {
  /** y_i of the hostile replicas. */
  readonly outputs: readonly Bytes[];
  /** The element under every scalar at hand, compressed; under session keys, either that or its negative. */
  readonly points: readonly Uint8Array[];
}

export function evaluate(candidate: Candidate, hostile: Evidence['hostile']): Evaluated {
  const { input, element, selfBlinded } = candidate;
  const under = (key: Uint8Array) => element.multiplyUnsafe(p256.Point.Fn.fromBytes(key)).toBytes();
  const evaluations = hostile.map(({ oprfKey }) => under(oprfKey));
  const uncompressed = element.toBytes(false);
  const sessions = hostile.map(({ sessionKey }) => {
    const ecdh = createECDH('prime256v1'); // three times as fast, and gives x only
    ecdh.setPrivateKey(sessionKey);
    return concat(Uint8Array.of(2), ecdh.computeSecret(uncompressed));
  });
  return {
    ...candidate,
    outputs: evaluations.map((point) => finalHash(input, point)),
    points: [element.toBytes(), selfBlinded.toBytes(), ...evaluations, ...sessions],
  };
}

/** RFC 9497 §3.3.1, the end of Finalize. */
function finalHash(input: Bytes, point: Uint8Array): Bytes {
  const framed = (bytes: Uint8Array) => concat(Uint8Array.of(bytes.length >> 8, bytes.length), bytes);
  return sha256(concat(framed(input), framed(point), utf8('Finalize'))) as Bytes;
}

/** What follows if a candidate is the code. */
export interface Guess extends Evaluated {
  readonly keys: readonly Bytes[];
  /** Of s, of the hostile replicas. */
  readonly shares: readonly Share[];
  /** s, if it took no more than the hostile replicas' shares. */
  readonly secret: Bytes;
}

export async function guess(evaluated: Evaluated, { body, hostile }: Evidence): Promise<Guess> {
  const keys = hostile.map(({ index }, i) => maskKey(evaluated.outputs[i] as Bytes, body.rid, body.g, index));
  const shares = hostile.map(({ index }, i): Share => {
    const { x, mask } = shareIn(body, index);
    return { x, y: xor(mask, keys[i] as Bytes) };
  });
  return { ...evaluated, keys, shares, secret: await combineShares(shares) };
}

export const shareIn = (body: Body, index: number) => shareOf(body, index) as NonNullable<ReturnType<typeof shareOf>>;

/** Enrols a code at four replicas, of which three are needed, and recovers it with this code and with a wrong one. */
export async function attack(code: string, wrong: string, hostileReplicas: number): Promise<Evidence> {
  const fleet = new SoftFleet({ replicas: 4 });
  const known: Uint8Array[] = [];
  const { name, policy } = fleet;
  const messages: Uint8Array[] = [];
  const transport = overheard(fleet, ({ message }) => {
    known.push(...byteStringsIn(message));
    messages.push(encoded(message));
  });
  const clock = new InstantClock();
  const client = new VaultClient({ transport, policy, fleet: name, tenant: SoftFleet.tenant, clock, argon2id: quickHash });
  await client.enroll(enrolInput({ code }));
  await client.recover({ recordId: RECORD, code: wrong }).catch(() => {}); // WRONG_CODE
  await client.recover({ recordId: RECORD, code, renew: false });
  const { body, bodyHash } = fleet.bodyOf(RECORD);
  const hostile = fleet.replicas.slice(0, hostileReplicas).map((replica) => replica.stateOf(body.g));
  const releaseSecret = await combineShares(hostile.map(({ index, release }) => ({ x: shareIn(body, index).x, y: release })));
  const finish = fleet.lastReceived('finishRecovery', FinishRecoveryRequestSchema);
  const states = hostile.flatMap(({ oprfKey, sessionKey, auth, release }) => [oprfKey, sessionKey, auth, release]);
  const everything = [...messages, ...known, ...inEtcd(fleet, { body, bodyHash }), ...states, releaseSecret];
  return { body, hostile, releaseSecret, finish, known, traffic: known, everything };
}

/** As a daemon would write it. Sub-records are left out: their blobs and MACs are made in a token, and the soft replica has none. */
function inEtcd(fleet: SoftFleet, { body, bodyHash }: HashedBody): Uint8Array[] {
  const requests = fleet.received('beginRecovery').map((bytes) => fromBinary(BeginRecoveryRequestSchema, bytes));
  const points = requests.map(({ point }) => pointTranscript(point).digest);
  const { limit, coolDownMs } = body.policy;
  const state = RecordState.LIVE;
  const attempts = create(AttemptsSchema, { incarnation: 1n, g: body.g, bodyHash, limit, coolDownMs, points, state, number: 1n });
  return [toBinary(AttemptsSchema, attempts), toBinary(RecordSchema, create(RecordSchema, { body }))];
}

function encoded(message: object): Uint8Array {
  const { $typeName } = message as Message;
  const schema = Object.values(VaultService.method)
    .flatMap(({ input, output }): DescMessage[] => [input, output])
    .find(({ typeName }) => typeName === $typeName);
  return toBinary(schema as DescMessage, message as Message);
}

function byteStringsIn(value: unknown): Uint8Array[] {
  if (value instanceof Uint8Array) return [value];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(byteStringsIn) : [];
}
