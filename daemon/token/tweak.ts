import type { Bytes } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import type { CompressedPoint } from '../../protocol/point.ts';
import { tweakFrom } from '../../protocol/scalar.ts';
import { type TweakUse, tweakTranscript } from '../../protocol/transcripts.ts';
import type { XCoordinate } from '../../protocol/x-coordinate.ts';
import { liftUncompressed, multiplyX } from './curve.ts';
import { deriveX } from './derive.ts';
import type { ReplicaToken } from './keys/replica.ts';
import type { GenerationKey } from './port.ts';
import { mac } from './verify.ts';

/** What the tweaks of a generation are made of: the seed is 32 bytes. */
export type Seeded = GenerationKey & { readonly seed: Uint8Array };

/** x(t·point), t being the generation's tweak for `use`. */
export function tweaked(token: ReplicaToken, use: TweakUse, generation: Seeded, point: CompressedPoint, what: string): XCoordinate {
  const tweak = makeTweak(token, use, generation);
  try {
    return multiplyX(tweak, point, what);
  } finally {
    tweak.fill(0);
  }
}

/**
 * x(k·t·point) or x(r·t·point), up to sign: the host's multiplication by the tweak, and one derivation in the token. Throws MALFORMED for a
 * point that is none, which the token never sees.
 */
export function multiply(token: ReplicaToken, use: TweakUse, generation: Seeded, point: CompressedPoint, what: string): XCoordinate {
  const x = tweaked(token, use, generation, point, what);
  try {
    return deriveX(token, use, liftUncompressed(x));
  } finally {
    x.fill(0);
  }
}

function makeTweak(token: ReplicaToken, use: TweakUse, { rid, g, seed }: Seeded): Bytes {
  const { fleet, index } = token;
  const prk = mac(token, tweakTranscript(use, { fleet, index, rid, g, seed }).digest);
  try {
    return tweakFrom(prk);
  } catch (cause) {
    throw new VaultError('TOKEN_FAULT', 'The token’s HMAC gives no tweak.', { cause });
  } finally {
    prk.fill(0);
  }
}
