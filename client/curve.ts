import { p256 } from '@noble/curves/nist.js';
import type { Bytes } from '../primitives/bytes.ts';
import { VaultError } from '../primitives/errors.ts';
import { SecretBytes } from '../primitives/secret-bytes.ts';
import { type CompressedPoint, parsePoint } from '../protocol/point.ts';
import { lift, parseX, type XCoordinate, xOf } from '../protocol/x-coordinate.ts';

const { Point } = p256;
const { Fn } = Point;

/** A compressed point that is on the curve; the form excludes the identity. */
export type CurvePoint = CompressedPoint & { readonly onCurve: true };

/** The x coordinate of a point of the curve. */
export type CurveX = XCoordinate & { readonly onCurve: true };

/** Throws REPLY_UNTRUSTED naming `what`. */
export function parseCurvePoint(bytes: Uint8Array, what: string): CurvePoint {
  try {
    const point = parsePoint(bytes, what);
    Point.fromBytes(point);
    return point as CurvePoint;
  } catch (cause) {
    throw new VaultError('REPLY_UNTRUSTED', `${what} is not a point of P-256.`, { cause });
  }
}

/** Throws REPLY_UNTRUSTED naming `what`. */
export function parseCurveX(bytes: Uint8Array, what: string): CurveX {
  try {
    const x = parseX(bytes, what);
    Point.fromBytes(lift(x));
    return x as CurveX;
  } catch (cause) {
    throw new VaultError('REPLY_UNTRUSTED', `${what} is not the x coordinate of a point of P-256.`, { cause });
  }
}

/** Uniform in 1 … q−1, 32 bytes. */
export function randomScalar(): SecretBytes {
  const scalar = p256.utils.randomSecretKey();
  const secret = new SecretBytes(scalar);
  scalar.fill(0);
  return secret;
}

/** scalar·G */
export const publicKeyOf = (scalar: Uint8Array): CurvePoint => p256.getPublicKey(scalar) as Bytes as CurvePoint;

/** Of both points with this x the one with even y. */
export const liftX = (x: CurveX): CurvePoint => lift(x) as CurvePoint;

/** The x coordinate of a point that is on the curve. */
export const curveXOf = (point: CurvePoint): CurveX => xOf(point) as CurveX;

/** point·scalar */
export const multiply = (point: CurvePoint, scalar: SecretBytes): CurvePoint => times(point, Fn.fromBytes(scalar.expose()));

/** point·scalar⁻¹ */
export const divide = (point: CurvePoint, scalar: SecretBytes): CurvePoint => times(point, Fn.inv(Fn.fromBytes(scalar.expose())));

const times = (point: CurvePoint, scalar: bigint): CurvePoint => Point.fromBytes(point).multiply(scalar).toBytes() as Bytes as CurvePoint;
