import { create } from '@bufbuild/protobuf';
import { randomBytes } from '@noble/hashes/utils.js';
import { type Bytes, xor } from '../primitives/bytes.ts';
import type { SecretBytes } from '../primitives/secret-bytes.ts';
import { BodySchema } from '../proto/gen/backupvault/v1/record_pb.ts';
import { type HashedBody, PROTOCOL_VERSION, parseBody } from '../protocol/body.ts';
import { commitTranscript } from '../protocol/transcripts.ts';
import { authKey, maskKey, ownerKey, payloadKey } from './derive.ts';
import type { VerifiedOffer } from './offers.ts';
import { type Blinded, finalize } from './oprf.ts';
import { encryptPayload } from './payload.ts';
import { splitPair } from './shares.ts';
import type { TrustedStatement } from './trust.ts';

/** What the user's app chooses for a record. */
export interface RecordPolicy {
  /** Codes that may be tried. */
  readonly limit: number;
  /** Between two attempts. */
  readonly coolDownMs: number;
}

export interface GenerationInput {
  readonly statement: TrustedStatement;
  readonly rid: Uint8Array;
  readonly g: Uint8Array;
  readonly blinded: Blinded;
  readonly offers: readonly VerifiedOffer[];
  readonly backupKey: SecretBytes;
  readonly policy: RecordPolicy;
  /** g of the generation that is replaced, or empty. */
  readonly previous: Uint8Array;
}

/** What one holder must get, and nobody else may. */
export interface HolderSecrets {
  readonly offer: VerifiedOffer;
  readonly auth: Bytes;
  readonly release: Bytes;
}

/** A new generation: its body, which everybody may see, and the secrets of its holders. Throws MALFORMED for input out of range. */
export async function makeGeneration(input: GenerationInput): Promise<HashedBody & { readonly holders: readonly HolderSecrets[] }> {
  const { statement, rid, g, blinded, offers, backupKey, policy, previous } = input;
  const [s, r] = [randomBytes(32) as Bytes, randomBytes(32) as Bytes];
  const shares = await splitPair(s, r, offers.length, statement.threshold);
  const holders = offers.map((offer, i) => ({ offer, share: shares[i] as (typeof shares)[number] }));
  const body = create(BodySchema, {
    version: PROTOCOL_VERSION,
    fleet: statement.fleet,
    epoch: BigInt(statement.epoch),
    rid,
    g,
    threshold: statement.threshold,
    shares: holders.map(({ offer: { index, publicKey, evaluated, ticketHash }, share }) => ({
      index,
      publicKey,
      evaluated,
      ticketHash,
      x: share.x,
      mask: xor(share.s, maskKey(finalize(blinded, evaluated), rid, g, index)),
    })),
    policy: { limit: policy.limit, coolDownMs: BigInt(policy.coolDownMs) },
    ownerKey: ownerKey(backupKey, rid).publicKey,
    previous,
  });
  body.payload = await encryptPayload(payloadKey(s, r, rid, g), backupKey, body);
  body.commit = commitTranscript(s, body).digest;
  const secrets = holders.map(({ offer, share }) => ({ offer, auth: authKey(s, rid, g, offer.index), release: share.r }));
  s.fill(0);
  r.fill(0);
  return { ...parseBody(body), holders: secrets };
}
