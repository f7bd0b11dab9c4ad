import { createECDH } from 'node:crypto';
import { constantTimeEqual } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import { deriveX } from './derive.ts';
import type { ReplicaToken } from './keys/replica.ts';

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
