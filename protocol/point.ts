import type { Brand } from '../primitives/brand.ts';
import type { Bytes } from '../primitives/bytes.ts';
import { VaultError } from '../primitives/errors.ts';

/**
 * A P-256 point in compressed SEC1 form: 33 bytes, first 02 or 03. The form alone is checked here, and excludes the identity;
 * whoever computes with the point decompresses it and so checks the curve (daemon: OpenSSL, client: noble).
 */
export type CompressedPoint = Brand<Bytes, 'CompressedPoint'>;

const POINT_LENGTH = 33;

/** Throws MALFORMED naming `what`. */
export function parsePoint(bytes: Uint8Array, what: string): CompressedPoint {
  if (bytes.length !== POINT_LENGTH || (bytes[0] !== 2 && bytes[0] !== 3))
    throw new VaultError('MALFORMED', `${what} must be a P-256 point in compressed SEC1 form (33 bytes, first 02 or 03).`);
  return bytes as CompressedPoint;
}
