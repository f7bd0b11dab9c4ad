import { p256, p256_hasher } from '@noble/curves/nist.js';
import { codeInput } from '../../client/derive.ts';
import { combineShares, type Share } from '../../client/shares.ts';
import { type Argon2id, maskKey } from '../../client/stretch.ts';
import { type Bytes, xor } from '../../primitives/bytes.ts';
import type { FinishRecoveryRequest } from '../../proto/gen/backupvault/v1/vault_pb.ts';
import { type Body, shareOf } from '../../protocol/body.ts';
import { ridFor } from '../../protocol/record-id.ts';
import { quickHash, RECORD } from '../harness/soft-client.ts';
import { SoftFleet } from '../harness/soft-fleet.ts';
import { outputOf, type Token } from './token-use.ts';

type Point = InstanceType<typeof p256.Point>;

/** A replica whose seed is at hand as well as the use of its token. */
export interface Open extends Token {
  readonly seed: Bytes;
  /** Z of a point, under k·t_o. */
  readonly evaluate: (point: Uint8Array) => Bytes;
  /** What its share of R is masked with, and the share. */
  readonly releaseMask: Bytes;
  readonly release: Bytes;
}

/** What the attacker has of one record. */
export interface Evidence {
  readonly body: Body;
  readonly open: readonly Open[];
  /** R, if it took no more than these replicas' shares. */
  readonly releaseSecret: Bytes;
  /** How the true code was proved. */
  readonly finish: FinishRecoveryRequest;
  /** Every byte string of every message between the client and the vault, of an enrolment and two recoveries. */
  readonly known: readonly Uint8Array[];
  /** The same as it was heard, which no flaw of a record changes. */
  readonly traffic: readonly Uint8Array[];
  /** x of every element that was heard, and of each under every scalar at hand and its inverse. */
  readonly elements: readonly Uint8Array[];
  /** All that there is to search: the messages as they were encoded, disks and etcd, tokens' keys and what follows. */
  readonly everything: readonly Uint8Array[];
  /** x of a point under every scalar at hand. */
  readonly underEach: (point: Uint8Array) => readonly Bytes[];
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
  return candidateOf(code, name, ridFor(name, SoftFleet.tenant, RECORD));
}

export async function candidateOf(code: string, fleet: string, rid: Uint8Array): Promise<Candidate> {
  const input = codeInput(code, fleet, rid).expose();
  const element = p256_hasher.hashToCurve(input, { DST: 'HashToGroup-OPRFV1-\x00-P256-SHA256' });
  const scalar = p256.Point.Fn.create(BigInt(`0x${Buffer.from(input).toString('hex')}`));
  return { code, input, element, scalar, selfBlinded: element.multiplyUnsafe(scalar) };
}

/** What the keys at hand make of a candidate: the dear part, which no change of a body changes. */
export interface Evaluated extends Candidate {
  /** y_i of the open replicas. */
  readonly outputs: readonly Bytes[];
  /** x of the element, and of it under every scalar at hand. */
  readonly xs: readonly Uint8Array[];
}

export function evaluate(candidate: Candidate, { open, underEach }: Pick<Evidence, 'open' | 'underEach'>): Evaluated {
  const { input, element, selfBlinded } = candidate;
  const point = element.toBytes(false);
  return {
    ...candidate,
    outputs: open.map((replica) => outputOf(input, replica.evaluate(point))),
    xs: [element.toBytes().slice(1), selfBlinded.toBytes().slice(1), ...underEach(point)],
  };
}

/** What follows if a candidate is the code. */
export interface Guess extends Evaluated {
  readonly keys: readonly Bytes[];
  /** Of s, of the open replicas. */
  readonly shares: readonly Share[];
  /** s, if it took no more than these shares. */
  readonly secret: Bytes;
}

export async function guess(
  evaluated: Evaluated,
  { body, open }: { readonly body: Body; readonly open: readonly Pick<Open, 'index'>[] },
  hash: Argon2id = quickHash,
): Promise<Guess> {
  const { rid, g, shares: all } = body;
  const keys = await Promise.all(
    open.map(({ index }, i) => maskKey(evaluated.outputs[i] as Bytes, { rid, g, index, holders: all.length }, hash)),
  );
  const shares = open.map(({ index }, i): Share => {
    const { x, mask } = shareIn(body, index);
    return { x, y: xor(mask, keys[i] as Bytes) };
  });
  return { ...evaluated, keys, shares, secret: await combineShares(shares) };
}

export const shareIn = (body: Body, index: number) => shareOf(body, index) as NonNullable<ReturnType<typeof shareOf>>;
