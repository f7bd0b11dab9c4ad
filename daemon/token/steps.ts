import { createHmac } from 'node:crypto';
import { type Bytes, constantTimeEqual, exactly } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import {
  offerTranscript,
  preparedTranscript,
  proofTranscript,
  receiptTranscript,
  releasedTranscript,
  subRecordTranscript,
  ticketTranscript,
} from '../../protocol/transcripts.ts';
import type { XCoordinate } from '../../protocol/x-coordinate.ts';
import { decompress } from './curve.ts';
import { asOf, type ReplicaToken } from './keys/replica.ts';
import type { Proven, StoredGeneration, TokenPort } from './port.ts';
import { requireProof } from './proof.ts';
import { multiply, type Seeded, tweaked } from './tweak.ts';
import { mac, requireMac, sign } from './verify.ts';

// What a step of the protocol asks of the token (port.ts), each in one visit.

type Step = 'offer' | 'prepare' | 'evaluate' | 'verify' | 'release';
type Request<Name extends Step> = Parameters<TokenPort[Name]>[0];
type Answer<Name extends Step> = Awaited<ReturnType<TokenPort[Name]>>;

/** TokenPort.offer */
export function offer(token: ReplicaToken, request: Request<'offer'>): Answer<'offer'> {
  const { seed, ...asked } = request;
  decompress(asked.proofKey, 'the proof key');
  const { evaluated, releaseElement } = elements(token, request);
  const { fleet, epoch, index } = token;
  const fields = { fleet, epoch, index, ...asked, evaluated, releaseElement };
  const tag = new Uint8Array(createHmac('sha256', seed).update(ticketTranscript(fields).digest).digest());
  return { evaluated, releaseElement, tag, signature: sign(token, offerTranscript(fields, tag).digest) };
}

/** TokenPort.prepare */
export function prepare(token: ReplicaToken, request: Request<'prepare'>): Answer<'prepare'> {
  const { evaluated, releaseElement } = elements(token, request);
  if (!constantTimeEqual(evaluated, request.evaluated) || !constantTimeEqual(releaseElement, request.releaseElement))
    throw new VaultError('TOKEN_FAULT', 'The token computes another evaluation, or release element, than when it was offered.');
  const { fleet, epoch, index } = token;
  const { rid, g, previous, bodyHash } = request;
  const prepared = preparedTranscript({ fleet, epoch, index, rid, g }, previous, bodyHash);
  return { mac: mac(token, subRecordDigest(token, request)), signature: sign(token, prepared.digest) };
}

/** TokenPort.evaluate */
export function evaluate(token: ReplicaToken, { generation, point, attempt, limit, used }: Request<'evaluate'>): Answer<'evaluate'> {
  const evaluated = multiply(requireStored(token, generation), 'oprf', generation, point, 'the blinded element');
  const { fleet, epoch, index } = token;
  const { rid, g, bodyHash, enrolledAtMs } = generation;
  const receipt = receiptTranscript({ fleet, epoch, index, rid, g, attempt, limit, used, point, evaluated, bodyHash, enrolledAtMs });
  return { evaluated, signature: sign(token, receipt.digest) };
}

/** TokenPort.release: three doors in this order, MAC, proof, key. */
export function release(token: ReplicaToken, request: Request<'release'>): Answer<'release'> {
  const { generation, attempt, point, blindedBase } = request;
  const { fleet, epoch, index } = token;
  const { rid, g, bodyHash } = generation;
  const reading = requireProven(token, request);
  const released = multiply(reading, 'release', generation, blindedBase, 'the blinded base');
  const answer = releasedTranscript({ fleet, epoch, index, rid, g, attempt, point, blindedBase, released, bodyHash });
  return { released, signature: sign(token, answer.digest) };
}

/** TokenPort.verify */
export function verify(token: ReplicaToken, request: Request<'verify'>): void {
  requireProven(token, request);
}

/** The token with the keys of a stored generation, for whoever knows the code. Throws KEY_MISSING, MAC_REFUSED, PROOF_REFUSED. */
function requireProven(token: ReplicaToken, { generation, proofKey, attempt, point, blindedBase, proof }: Proven): ReplicaToken {
  const { fleet, epoch } = token;
  const { rid, g } = generation;
  const reading = requireStored(token, generation);
  requireProof(reading, proofKey, proofTranscript({ fleet, epoch, rid, g }, attempt, point, blindedBase), proof);
  return reading;
}

/** TokenPort.check */
export function check(token: ReplicaToken, generation: StoredGeneration): void {
  requireStored(token, generation);
}

/** Z and F. */
function elements(
  token: ReplicaToken,
  request: Seeded & Pick<Request<'offer'>, 'point'>,
): Pick<Answer<'offer'>, 'evaluated' | 'releaseElement'> {
  exactly(32, request.seed, 'the seed');
  const evaluated: XCoordinate = multiply(token, 'oprf', request, request.point, 'the blinded element');
  return { evaluated, releaseElement: tweaked(token, 'release', request, token.identity.releaseKey, 'the release key') };
}

/** The token with the keys of a stored generation, which is what this replica stored. Throws KEY_MISSING, MAC_REFUSED. */
function requireStored(token: ReplicaToken, generation: StoredGeneration): ReplicaToken {
  const reading = asOf(token, generation.epoch);
  requireMac(reading, subRecordDigest(token, generation), generation.mac);
  return reading;
}

function subRecordDigest(
  { fleet, index }: ReplicaToken,
  { rid, g, bodyHash, seed, enrolledAtMs }: Omit<StoredGeneration, 'epoch' | 'mac'>,
): Bytes {
  return subRecordTranscript({ fleet, index, rid, g, bodyHash, seed, enrolledAtMs }).digest;
}
