import { createPublicKey, ECDH, type KeyObject } from 'node:crypto';
import type { Statement } from '../../protocol/statement.ts';

/** V_i of every replica as Node's verify wants them, by index. */
export function receiptKeys(statement: Statement): Map<number, KeyObject> {
  return new Map(statement.replicas.map(({ index, receiptKey }) => [index, publicKey(receiptKey)]));
}

function publicKey(compressed: Uint8Array): KeyObject {
  const point = ECDH.convertKey(compressed, 'prime256v1', undefined, undefined, 'uncompressed') as Buffer;
  const coordinate = (from: number) => point.subarray(from, from + 32).toString('base64url');
  return createPublicKey({ key: { kty: 'EC', crv: 'P-256', x: coordinate(1), y: coordinate(33) }, format: 'jwk' });
}
