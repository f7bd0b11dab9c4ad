import type { Bytes } from '../primitives/bytes.ts';
import { VaultError } from '../primitives/errors.ts';
import { accountTranscript, recordTranscript } from './transcripts.ts';

/** The frontend's opaque pseudonym of an account: 1 to 128 visible ASCII characters. Never a phone number. Throws MALFORMED. */
export function parseRecordId(recordId: string): string {
  if (!/^[\x21-\x7e]{1,128}$/.test(recordId))
    throw new VaultError('MALFORMED', 'record_id must be 1 to 128 visible ASCII characters without spaces.');
  return recordId;
}

/** 32 bytes: the record's name. */
export const ridFor = (fleet: string, tenant: string, recordId: string): Bytes =>
  recordTranscript(fleet, tenant, accountTranscript(fleet, tenant, recordId).digest).digest;
