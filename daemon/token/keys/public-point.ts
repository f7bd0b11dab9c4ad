import { type Bytes, concat } from '../../../primitives/bytes.ts';
import { isVaultError, VaultError } from '../../../primitives/errors.ts';
import type { CompressedPoint } from '../../../protocol/point.ts';
import { compressSec1 } from '../curve.ts';
import type { KeyHandle, TokenSession } from '../pkcs11/session.ts';
import type { Profile } from '../profile.ts';

/** DER: OCTET STRING (04) of 65 (41) bytes */
const DER = Uint8Array.of(0x04, 0x41);

/** An uncompressed point, 65 bytes, as a token has it that wants it so. */
export const inForm = (form: 'der' | 'raw', point: Bytes): Bytes => (form === 'der' ? concat(DER, point) : point);

/** The point of a public key object. Throws TOKEN_UNFIT where it is none of P-256, or not in the profile's form. */
export function readPoint(
  session: TokenSession,
  publicKey: KeyHandle,
  { vendor, readPoint: form }: Profile,
  what: string,
): CompressedPoint {
  const value = session.read(publicKey, 'ecPoint') ?? new Uint8Array(0);
  const isDer = value.length === DER.length + 65 && DER.every((byte, i) => value[i] === byte);
  if (isDer !== (form === 'der') && (isDer || value.length === 65))
    throw unfit(`CKA_EC_POINT of ${what} is not as profile ${vendor} has it, readPoint: ${form}`);
  try {
    return compressSec1(isDer ? value.subarray(DER.length) : value, what);
  } catch (error) {
    if (isVaultError(error, 'MALFORMED')) throw unfit(`${what} is no key of the curve P-256`);
    throw error;
  }
}

const unfit = (why: string): VaultError => new VaultError('TOKEN_UNFIT', `The token is not fit to serve: ${why}.`);
