import { createHmac } from 'node:crypto';
import { type Bytes, constantTimeEqual, exactly } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import { offerTranscript, subRecordTranscript, ticketTranscript } from '../../protocol/transcripts.ts';
import type { XCoordinate } from '../../protocol/x-coordinate.ts';
import { decompress } from './curve.ts';
import type { ReplicaToken } from './keys/replica.ts';
import type { TokenPort } from './port.ts';
import { multiply, type Seeded, tweaked } from './tweak.ts';
import { mac, sign } from './verify.ts';

type Request<Name extends 'offer' | 'prepare'> = Parameters<TokenPort[Name]>[0];

/** TokenPort.offer */
export function offer(token: ReplicaToken, request: Request<'offer'>): Awaited<ReturnType<TokenPort['offer']>> {
  const { seed, ...asked } = request;
  decompress(asked.proofKey, 'the proof key');
  const { evaluated, releaseElement } = elements(token, request);
  const { fleet, epoch, index } = token;
  const fields = { fleet, epoch, index, ...asked, evaluated, releaseElement };
  const tag = new Uint8Array(createHmac('sha256', seed).update(ticketTranscript(fields).digest).digest());
  return { evaluated, releaseElement, tag, signature: sign(token, offerTranscript(fields, tag).digest) };
}

/** TokenPort.prepare */
export function prepare(token: ReplicaToken, request: Request<'prepare'>): Bytes {
  const { rid, g, seed, bodyHash, enrolledAtMs } = request;
  const { evaluated, releaseElement } = elements(token, request);
  if (!constantTimeEqual(evaluated, request.evaluated) || !constantTimeEqual(releaseElement, request.releaseElement))
    throw new VaultError('TOKEN_FAULT', 'The token computes another evaluation, or release element, than when it was offered.');
  const { fleet, index } = token;
  return mac(token, subRecordTranscript({ fleet, index, rid, g, bodyHash, seed, enrolledAtMs }).digest);
}

/** Z and F. */
function elements(
  token: ReplicaToken,
  request: Seeded & Pick<Request<'offer'>, 'point'>,
): { evaluated: XCoordinate; releaseElement: XCoordinate } {
  exactly(32, request.seed, 'the seed');
  const evaluated = multiply(token, 'oprf', request, request.point, 'the blinded element');
  return { evaluated, releaseElement: tweaked(token, 'release', request, token.identity.releaseKey, 'the release key') };
}
