import type { Brand } from '../primitives/brand.ts';
import { type Bytes, concat, exactly } from '../primitives/bytes.ts';
import type { CompressedPoint } from './point.ts';

/**
 * An element of P-256 that stands for itself and its negative: its x coordinate, 32 bytes big-endian, which is what a token's ECDH gives.
 * The length alone is checked here; whether it is an x of the curve, whoever lifts it and computes with it.
 */
export type XCoordinate = Brand<Bytes, 'XCoordinate'>;

const X_LENGTH = 32;

/** Throws MALFORMED naming `what`. */
export const parseX = (bytes: Uint8Array, what: string): XCoordinate => exactly(X_LENGTH, bytes, what) as Bytes as XCoordinate;

export const xOf = (point: CompressedPoint): XCoordinate => point.slice(1) as Bytes as XCoordinate;

/** The one of both points with this x whose y is even, as BIP 340 has it. */
export const lift = (x: XCoordinate): CompressedPoint => concat(Uint8Array.of(2), x) as Bytes as CompressedPoint;
