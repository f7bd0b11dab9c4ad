import type { Bytes } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import { parseX, type XCoordinate } from '../../protocol/x-coordinate.ts';
import { inForm } from './keys/public-point.ts';
import type { TokenWith } from './keys/replica.ts';
import { derivedX } from './keys/templates.ts';
import { ecdh } from './pkcs11/mechanisms.ts';
import { readOut } from './readout.ts';

/**
 * x(k·Q) or x(r·Q) by the token. `point` is Q, uncompressed, which the caller knows to be on the curve, since some tokens do not look; it is wiped.
 * TOKEN_FAULT for anything but 32 bytes.
 */
export function deriveX<Name extends 'oprf' | 'release'>(
  { session, profile, keys }: TokenWith<Name>,
  name: Name,
  point: Bytes,
): XCoordinate {
  return session.withTemporary((keep) => {
    const data = inForm(profile.derivePoint, point);
    const derived = keep(session.derive(ecdh(data), keys[name], derivedX(profile)));
    data.fill(0);
    const value = readOut(session, profile, derived);
    if (value?.length !== 32) throw new VaultError('TOKEN_FAULT', `The token’s ECDH gave ${value?.length ?? 'no'} bytes instead of 32.`);
    return parseX(value, 'x');
  });
}
