import { type Bytes, constantTimeEqual } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import type { CompressedPoint } from '../../protocol/point.ts';
import { evaluateStored } from './evaluate.ts';
import type { ReplicaToken } from './keys/replica.ts';
import type { Sealed, TokenPort } from './port.ts';
import { openSealed } from './session-key.ts';
import { unwrapStored, wrapSecret } from './stored.ts';
import { requireMac } from './verify.ts';

/** TokenPort.adopt */
export function adopt(token: ReplicaToken, request: Parameters<TokenPort['adopt']>[0]): { wrappedAuth: Bytes; wrappedRelease: Bytes } {
  requireMac(token, request.ticket, 'TICKET_REFUSED');
  const wrappedAuth = rewrap(token, 'auth', request.clientKey, request.auth);
  const wrappedRelease = rewrap(token, 'release', request.clientKey, request.release);
  // What is stored now is all that a recovery will have: open every blob as it would, before the client gives up its copy.
  token.session.withTemporary((keep) => {
    keep(unwrapStored(token, 'auth', wrappedAuth));
    keep(unwrapStored(token, 'release', wrappedRelease));
  });
  const evaluated = evaluateStored(token, request.wrappedKey, request.publicKey, request.point);
  if (!constantTimeEqual(evaluated, request.evaluated))
    throw new VaultError('TOKEN_FAULT', 'The stored OPRF key does not evaluate the point to what was offered.');
  return { wrappedAuth, wrappedRelease };
}

function rewrap(token: ReplicaToken, purpose: 'auth' | 'release', clientKey: CompressedPoint, sealed: Sealed): Bytes {
  return token.session.withTemporary((keep) => wrapSecret(token, purpose, keep(openSealed(token, purpose, clientKey, sealed))));
}
