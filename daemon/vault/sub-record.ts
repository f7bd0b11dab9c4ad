import { subRecordTranscript } from '../../protocol/transcripts.ts';
import type { Generation } from '../ledger/guarded.ts';
import type { MacCheck } from '../token/port.ts';
import type { Vault } from './vault.ts';

/** What the token must find true before it unwraps anything of a stored generation. */
export function subRecordMac({ statement }: Vault, { body, bodyHash, subRecord }: Generation): MacCheck {
  const { wrappedKey, wrappedAuth, wrappedRelease, enrolledAtMs, tag } = subRecord;
  const transcript = subRecordTranscript({
    fleet: statement.fleet,
    index: subRecord.index,
    rid: body.rid,
    g: body.g,
    bodyHash,
    wrappedKey,
    wrappedAuth,
    wrappedRelease,
    enrolledAtMs,
  });
  return { digest: transcript.digest, tag };
}
