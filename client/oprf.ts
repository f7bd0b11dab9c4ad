import { p256_oprf } from '@noble/curves/nist.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { type Bytes, concat, utf8 } from '../primitives/bytes.ts';
import { SecretBytes } from '../primitives/secret-bytes.ts';
import { type CompressedPoint, parsePoint } from '../protocol/point.ts';
import { type CurveX, curveXOf, divide, liftX } from './curve.ts';

// RFC 9497, OPRF(P-256, SHA-256), mode OPRF: the client's half. The evaluation is in the replicas' tokens, which give an x coordinate
// alone: the element of the group stands for itself and its negative, and both ends take the one with even y.
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
  const secret = new SecretBytes(blind);
  blind.fill(0);
  return { input, blind: secret, point: parsePoint(blinded, 'point') };
}

/** RFC 9497 §3.3.1 Finalize, of the unblinded element or its negative: whichever has even y. */
export function finalize({ input, blind }: Blinded, evaluated: CurveX): Bytes {
  const unblinded = liftX(curveXOf(divide(liftX(evaluated), blind)));
  const hashed = concat(framed(input.expose()), framed(unblinded), utf8('Finalize'));
  const output = sha256(hashed) as Bytes;
  hashed.fill(0);
  return output;
}

/** After its length in two bytes. */
const framed = (bytes: Uint8Array): Bytes => concat(Uint8Array.of(bytes.length >> 8, bytes.length), bytes);
