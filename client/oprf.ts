import { p256, p256_oprf } from '@noble/curves/nist.js';
import type { Bytes } from '../primitives/bytes.ts';
import { VaultError } from '../primitives/errors.ts';
import { SecretBytes } from '../primitives/secret-bytes.ts';
import { type CompressedPoint, parsePoint } from '../protocol/point.ts';

// RFC 9497, OPRF(P-256, SHA-256), mode OPRF: the client's half. The evaluation is in the replicas' tokens.
const { oprf } = p256_oprf;

/** An input under a blind. Who keeps it can send the same point again, which costs nothing; who loses it must spend an attempt. */
export interface Blinded {
  readonly input: SecretBytes;
  readonly blind: SecretBytes;
  readonly point: CompressedPoint;
}

/** RFC 9497 §3.3.1 Blind. `random` is for test vectors. */
export function blind(input: SecretBytes, random?: (length?: number) => Bytes): Blinded {
  const { blind, blinded } = oprf.blind(input.expose(), random);
  return { input, blind: new SecretBytes(blind), point: parsePoint(blinded, 'point') };
}

/** RFC 9497 §3.3.1 Finalize. */
export function finalize(blinded: Blinded, evaluated: CurvePoint): Bytes {
  return oprf.finalize(blinded.input.expose(), blinded.blind.expose(), evaluated) as Bytes;
}

/** A compressed point that is on the curve; the form excludes the identity. */
export type CurvePoint = CompressedPoint & { readonly onCurve: true };

/** Throws REPLY_UNTRUSTED naming `what`. */
export function parseCurvePoint(bytes: Uint8Array, what: string): CurvePoint {
  try {
    const point = parsePoint(bytes, what);
    p256.Point.fromBytes(point);
    return point as CurvePoint;
  } catch (cause) {
    throw new VaultError('REPLY_UNTRUSTED', `${what} is not a point of P-256.`, { cause });
  }
}
