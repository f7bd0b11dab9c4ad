import { randomBytes } from 'node:crypto';
import { p256 } from '@noble/curves/nist.js';
import { VaultError } from '../../primitives/errors.ts';
import type { CompressedPoint } from '../../protocol/point.ts';
import { proofTranscript } from '../../protocol/transcripts.ts';
import { lift, type XCoordinate, xOf } from '../../protocol/x-coordinate.ts';
import type { ReplicaToken } from './keys/replica.ts';
import type { StoredGeneration, TokenPort } from './port.ts';
import { multiple, multiply, signWith } from './reference.ts';
import { evaluate, offer, prepare, release } from './steps.ts';

// One record's share of one replica, with the device played by software: for the self-test, the probe and tests.

/** What a device has of a replica for one record: what its code evaluates to, and what its share was masked with. */
export interface Opened {
  readonly evaluated: XCoordinate;
  readonly mask: XCoordinate;
}

export interface Enrolled {
  readonly stored: StoredGeneration;
  readonly opened: Opened;
  /** What was asked at the enrolment, and what was offered. */
  readonly offered: Pick<Parameters<TokenPort['prepare']>[0], 'point' | 'evaluated' | 'releaseElement'>;
  /** The private key of A. */
  readonly a: bigint;
  /** T */
  readonly releaseBase: CompressedPoint;
}

const { Fn } = p256.Point;

export const randomScalar = (): bigint => Fn.fromBytes(p256.utils.randomSecretKey());

/** Times G, it is the element of the code: any will do. */
export const CODE_SCALAR = 1234n;
const element = multiple(CODE_SCALAR);

export const ticketFields = (a: bigint) => ({ proofKey: multiple(a), nonce: randomBytes(16), expiresAtMs: 1n, changes: 0n });

/** Enrols a record under the keys in force. */
export function enrol(token: ReplicaToken): Enrolled {
  const [blind, a, tau] = [randomScalar(), randomScalar(), randomScalar()];
  const generation = { rid: randomBytes(32), g: randomBytes(16), seed: randomBytes(32) };
  const point = multiply(element, blind);
  const { evaluated, releaseElement } = offer(token, { ...generation, point, ...ticketFields(a) });
  const offered = { point, evaluated, releaseElement };
  const body = { ...generation, bodyHash: randomBytes(32), enrolledAtMs: 5n };
  return {
    stored: { ...body, epoch: token.epoch, mac: prepare(token, { ...body, ...offered, previous: new Uint8Array(0) }).mac },
    opened: { evaluated: unblinded(evaluated, blind), mask: xOf(multiply(lift(releaseElement), tau)) },
    offered,
    a,
    releaseBase: multiple(tau),
  };
}

/** What a holder is asked for a release with this blinded base, by a proof of its enrolled key. */
export function releaseRequest(
  { fleet, epoch }: ReplicaToken,
  { stored, a }: Enrolled,
  point: CompressedPoint,
  blindedBase: CompressedPoint,
) {
  const proof = signWith(a, proofTranscript({ fleet, epoch, rid: stored.rid, g: stored.g }, 1, point, blindedBase).digest);
  const request = { generation: stored, proofKey: multiple(a), attempt: 1, point, blindedBase, proof };
  return request satisfies Parameters<TokenPort['release']>[0];
}

/** A request for a release, and what unblinds its answer. */
export function recoveryOf(token: ReplicaToken, enrolled: Enrolled) {
  const b = randomScalar();
  return { b, request: releaseRequest(token, enrolled, multiple(7n), multiply(enrolled.releaseBase, b)) };
}

/** What the device has again after a recovery: as it was `opened` at enrolment, if all is well. */
export function recover(token: ReplicaToken, enrolled: Enrolled): Opened {
  const blind = randomScalar();
  const point = multiply(element, blind);
  const { evaluated } = evaluate(token, { generation: enrolled.stored, point, attempt: 1, limit: 3, used: 1 });
  const { b, request } = recoveryOf(token, enrolled);
  return { evaluated: unblinded(evaluated, blind), mask: unblinded(release(token, request).released, b) };
}

/** Up to sign, which x does not tell. Throws TOKEN_UNFIT for an x of no point: whoever calls has it from a token. */
function unblinded(x: XCoordinate, blind: bigint): XCoordinate {
  try {
    return xOf(multiply(lift(x), Fn.inv(blind)));
  } catch (cause) {
    throw new VaultError('TOKEN_UNFIT', 'what the token computed is the x coordinate of no point', { cause });
  }
}
