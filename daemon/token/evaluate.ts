import { receiptTranscript } from '../../protocol/transcripts.ts';
import type { ReplicaToken } from './keys/replica.ts';
import type { TokenPort } from './port.ts';
import { requireStored } from './stored.ts';
import { multiply } from './tweak.ts';
import { sign } from './verify.ts';

/** TokenPort.evaluate */
export function evaluate(
  token: ReplicaToken,
  { generation, point, attempt, limit }: Parameters<TokenPort['evaluate']>[0],
): Awaited<ReturnType<TokenPort['evaluate']>> {
  const evaluated = multiply(requireStored(token, generation), 'oprf', generation, point, 'the blinded element');
  const { fleet, epoch, index } = token;
  const { rid, g, bodyHash, enrolledAtMs } = generation;
  const receipt = receiptTranscript({ fleet, epoch, index, rid, g, attempt, limit, point, evaluated, bodyHash, enrolledAtMs });
  return { evaluated, signature: sign(token, receipt.digest) };
}
