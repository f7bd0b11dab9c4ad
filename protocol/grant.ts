import { z } from 'zod';
import { toHex } from '../primitives/bytes.ts';
import { accountTranscript } from './transcripts.ts';

export const GRANT_TYPE = 'bkv-grant+jws';
/** In characters. */
export const MOST_GRANT_LENGTH = 2048;
export const grantOperations = ['begin-enrolment', 'finish-enrolment', 'begin-recovery', 'erase'] as const;
export type GrantOperation = (typeof grantOperations)[number];

/** What a tenant's frontend authorises, in the payload of a compact JWS (RFC 7515) by ES256 or EdDSA. */
export interface Grant {
  readonly fleet: string;
  readonly tenant: string;
  readonly operation: GrantOperation;
  readonly recordId: string;
  readonly g: Uint8Array;
  /** begin-enrolment: transcript "begin-enrolment"; finish-enrolment: body_hash; begin-recovery: transcript "point"; erase: transcript "erase". */
  readonly authorises: Uint8Array;
}

/** `iat` and `exp` in seconds since the Unix epoch, as RFC 7519 §4.1 has them. */
export const grantClaims = z.strictObject({
  fleet: z.string(),
  tenant: z.string(),
  operation: z.enum(grantOperations),
  /** Transcript "account". */
  account: z.hex().length(64),
  g: z.hex(),
  authorises: z.hex(),
  iat: z.int(),
  exp: z.int(),
});

export const claimsOf = (grant: Grant): Omit<z.infer<typeof grantClaims>, 'iat' | 'exp'> => ({
  fleet: grant.fleet,
  tenant: grant.tenant,
  operation: grant.operation,
  account: toHex(accountTranscript(grant.fleet, grant.tenant, grant.recordId).digest),
  g: toHex(grant.g),
  authorises: toHex(grant.authorises),
});
