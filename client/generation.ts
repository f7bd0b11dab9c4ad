import { create } from '@bufbuild/protobuf';
import { xor } from '../primitives/bytes.ts';
import type { SecretBytes } from '../primitives/secret-bytes.ts';
import { BodySchema } from '../proto/gen/backupvault/v1/record_pb.ts';
import { type HashedBody, PROTOCOL_VERSION, parseBody } from '../protocol/body.ts';
import { curveXOf, liftX, multiply, publicKeyOf, randomScalar } from './curve.ts';
import { ownerKey, payloadKey, proofKey, releaseMaskKey } from './derive.ts';
import type { VerifiedOffer } from './offers.ts';
import { type Blinded, finalize } from './oprf.ts';
import { encryptPayload } from './payload.ts';
import { randomSecret } from './random-secret.ts';
import { type SharePair, splitPair } from './shares.ts';
import { type Argon2id, maskKey } from './stretch.ts';
import type { TrustedStatement } from './trust.ts';

/** What the user's app chooses for a record. */
export interface RecordPolicy {
  /** Codes that may be tried. */
  readonly limit: number;
  /** Between two attempts. */
  readonly coolDownMs: number;
  /**
   * How long a recovery with the right code is held before it gives the backup key: 24 or 72 hours, say; none if it is left out. Meanwhile any device that has the backup key
   * can veto it, or approve it at once. A user who lost the only device waits the whole of it, and cannot veto: the app says so when it is chosen.
   */
  readonly holdMs?: number;
}

export interface GenerationInput {
  readonly statement: TrustedStatement;
  readonly rid: Uint8Array;
  readonly g: Uint8Array;
  /** 32 bytes, of which the offers' proof key was made. */
  readonly s: SecretBytes;
  readonly blinded: Blinded;
  readonly argon2id: Argon2id;
  readonly offers: readonly VerifiedOffer[];
  readonly backupKey: SecretBytes;
  readonly policy: RecordPolicy;
  /** g of the generation that is replaced, or empty. */
  readonly previous: Uint8Array;
  /** One above that of the generation that is replaced; 1 for a first one. */
  readonly number: bigint;
  /** That of the live generation that is replaced; g where there is none. */
  readonly line: Uint8Array;
}

/** The body of a new generation: everybody may see it. Throws MALFORMED for input out of range. */
export async function makeGeneration(input: GenerationInput): Promise<HashedBody> {
  const { statement, rid, g, s, offers, backupKey, policy, previous, number, line } = input;
  const [r, tau] = [randomSecret(32), randomScalar()];
  const pairs = await splitPair(s.expose(), r.expose(), offers.length, statement.threshold);
  const body = create(BodySchema, {
    version: PROTOCOL_VERSION,
    fleet: statement.fleet,
    epoch: BigInt(statement.epoch),
    rid,
    g,
    threshold: statement.threshold,
    shares: await Promise.all(offers.map((offer, i) => maskShares(input, offer, pairs[i] as SharePair, tau))),
    policy: { limit: policy.limit, coolDownMs: BigInt(policy.coolDownMs), holdMs: BigInt(policy.holdMs ?? 0) },
    ownerKey: ownerKey(backupKey, rid).publicKey,
    previous,
    number,
    line,
    proofKey: proofKey(s.expose(), rid, g),
    releaseBase: publicKeyOf(tau.expose()),
  });
  body.payload = await encryptPayload(payloadKey(s.expose(), r.expose(), rid, g), backupKey, body);
  r.wipe();
  tau.wipe(); // whoever has it opens every release mask
  return parseBody(body);
}

async function maskShares(
  { rid, g, blinded, argon2id, offers }: GenerationInput,
  offer: VerifiedOffer,
  share: SharePair,
  tau: SecretBytes,
) {
  const { index, evaluated, releaseElement } = offer;
  const d = curveXOf(multiply(liftX(releaseElement), tau));
  const output = finalize(blinded, evaluated);
  const mask = await maskKey(output, { rid, g, index, holders: offers.length }, argon2id);
  const masked = {
    index,
    x: share.x,
    mask: xor(share.s, mask),
    releaseMask: xor(share.r, releaseMaskKey(d, rid, g, index)),
  };
  for (const secret of [output, mask, d, share.s, share.r]) secret.fill(0);
  return masked;
}
