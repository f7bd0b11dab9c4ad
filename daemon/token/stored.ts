import { subRecordTranscript } from '../../protocol/transcripts.ts';
import { asOf, type ReplicaToken } from './keys/replica.ts';
import type { StoredGeneration } from './port.ts';
import { requireMac } from './verify.ts';

/** The token with the keys of a stored generation, which is what this replica stored. Throws KEY_MISSING, MAC_REFUSED. */
export function requireStored(token: ReplicaToken, { epoch, rid, g, bodyHash, seed, enrolledAtMs, mac }: StoredGeneration): ReplicaToken {
  const reading = asOf(token, epoch);
  const { fleet, index } = token;
  requireMac(reading, subRecordTranscript({ fleet, index, rid, g, bodyHash, seed, enrolledAtMs }).digest, mac);
  return reading;
}
