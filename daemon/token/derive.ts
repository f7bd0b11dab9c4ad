import { createECDH } from 'node:crypto';
import { type Bytes, constantTimeEqual } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import { parseX, type XCoordinate } from '../../protocol/x-coordinate.ts';
import { inForm } from './keys/public-point.ts';
import type { ReplicaToken, TokenWith } from './keys/replica.ts';
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
  const data = inForm(profile.derivePoint, point);
  try {
    return session.withTemporary((keep) => {
      const value = readOut(session, profile, keep(session.derive(ecdh(data), keys[name], derivedX(profile))));
      if (value?.length !== 32) throw new VaultError('TOKEN_FAULT', `The token’s ECDH gave ${value?.length ?? 'no'} bytes instead of 32.`);
      return parseX(value, 'x');
    });
  } finally {
    for (const copy of [data, point]) copy.fill(0); // the same bytes, or those in a frame beside them
  }
}

/**
 * An x that a token gives cannot be checked when it comes: nobody knows k. So for a random c, x(k·cG) is held against x(c·K), and the same
 * for the release key. Throws TOKEN_FAULT.
 */
export function checkDerivations(token: ReplicaToken): void {
  const { oprfKey, releaseKey } = token.identity;
  for (const [name, key] of [
    ['oprf', oprfKey],
    ['release', releaseKey],
  ] as const) {
    const c = createECDH('prime256v1');
    const point = new Uint8Array(c.generateKeys());
    if (!constantTimeEqual(deriveX(token, name, point), c.computeSecret(key)))
      throw new VaultError('TOKEN_FAULT', `The token’s ECDH with the ${name} key does not fit its public key.`);
  }
}
