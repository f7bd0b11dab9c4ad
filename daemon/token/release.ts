import { proofTranscript, releasedTranscript } from '../../protocol/transcripts.ts';
import type { ReplicaToken } from './keys/replica.ts';
import type { TokenPort } from './port.ts';
import { requireProof } from './proof.ts';
import { requireStored } from './stored.ts';
import { multiply } from './tweak.ts';
import { sign } from './verify.ts';

/** TokenPort.release: three doors in this order, MAC, proof, key. */
export function release(
  token: ReplicaToken,
  { generation, proofKey, attempt, point, blindedBase, proof }: Parameters<TokenPort['release']>[0],
): Awaited<ReturnType<TokenPort['release']>> {
  const { fleet, epoch, index } = token;
  const { rid, g, bodyHash } = generation;
  const reading = requireStored(token, generation);
  requireProof(reading, proofKey, proofTranscript({ fleet, epoch, rid, g }, attempt, point, blindedBase), proof);
  const released = multiply(reading, 'release', generation, blindedBase, 'the blinded base');
  const answer = releasedTranscript({ fleet, epoch, index, rid, g, attempt, point, blindedBase, released, bodyHash });
  return { released, signature: sign(token, answer.digest) };
}
