import { type Bytes, exactly } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import { type CompressedPoint, parsePoint } from '../../protocol/point.ts';
import { type AffinePoint, addGenerator, decompress, generator, recoverSign, uncompressed } from './curve.ts';
import { CKM, ecdh, plain } from './mechanisms.ts';
import type { TokenPort } from './port.ts';
import { type ReplicaToken, readPoint } from './replica.ts';
import type { KeyHandle } from './session.ts';
import { unwrapStored, WRAPPED_KEY_MAX } from './stored.ts';
import { kekMechanism, newOprfKey as newOprfKeyTemplate, publicKey as publicKeyTemplate, readableX } from './templates.ts';
import { requireMac } from './verify.ts';

type Request<Name extends 'evaluate' | 'newOprfKey'> = Parameters<TokenPort[Name]>[0];

/** RFC 9497 §3.3.1 BlindEvaluate: k·P, out of two derivations in the token (curve.ts, recoverSign). */
export function blindEvaluate(token: ReplicaToken, key: KeyHandle, publicKey: CompressedPoint, point: CompressedPoint): CompressedPoint {
  const element = decompress(point, 'the blinded element');
  const ownKey = decompress(publicKey, 'the public key');
  if (element.x === generator.x) {
    // P = G gives K. For P = −G the second point P + G would be the identity.
    if (element.y === generator.y) return publicKey;
    throw new VaultError('MALFORMED', 'The blinded element is the negated generator.');
  }
  const xOfProduct = rawEcdh(token, key, element);
  const xOfSum = rawEcdh(token, key, addGenerator(element));
  return recoverSign(xOfProduct, xOfSum, ownKey);
}

/** TokenPort.evaluate */
export function evaluate(token: ReplicaToken, request: Request<'evaluate'>): CompressedPoint {
  requireMac(token, request.mac, 'MAC_REFUSED');
  return evaluateStored(token, request.wrappedKey, request.publicKey, request.point);
}

/** Evaluates with a key stored under KEK_oprf. The caller has verified a MAC over the blob. */
export function evaluateStored(
  token: ReplicaToken,
  wrappedKey: Uint8Array,
  publicKey: CompressedPoint,
  point: CompressedPoint,
): CompressedPoint {
  return token.session.withTemporary((keep) => blindEvaluate(token, keep(unwrapStored(token, 'oprf', wrappedKey)), publicKey, point));
}

/** TokenPort.newOprfKey */
export function newOprfKey(
  token: ReplicaToken,
  point: Request<'newOprfKey'>,
): { publicKey: CompressedPoint; wrappedKey: Bytes; evaluated: CompressedPoint } {
  const { session, profile, keys } = token;
  parsePoint(point, 'the blinded element');
  return session.withTemporary((keep) => {
    const pair = session.generateKeyPair(plain(CKM.EC_KEY_PAIR_GEN), publicKeyTemplate(false, false), newOprfKeyTemplate(profile));
    const key = keep(pair.privateKey);
    const publicKey = readPoint(session, keep(pair.publicKey), profile);
    const evaluated = blindEvaluate(token, key, publicKey, point);
    const wrappedKey = session.wrap(plain(kekMechanism('oprf', profile)), keys['kek-oprf'], key, WRAPPED_KEY_MAX);
    return { publicKey, wrappedKey, evaluated };
  });
}

/** x(k·P), 32 bytes. Profile `rawEcdh: direct`: the derived value is made readable and read. */
function rawEcdh(token: ReplicaToken, key: KeyHandle, point: AffinePoint): Bytes {
  return token.session.withTemporary((keep) => {
    const derived = keep(token.session.derive(ecdh(publicData(token, point)), key, readableX));
    const x = token.session.read(derived, 'value');
    if (x?.length !== 32) throw new VaultError('TOKEN_FAULT', 'The token’s ECDH did not give an x coordinate of 32 bytes.');
    return exactly(32, x, 'x');
  });
}

/** A point as this token's ECDH takes it. */
export function publicData(token: ReplicaToken, point: AffinePoint): Uint8Array {
  const bytes = uncompressed(point);
  return token.profile.ecdhPublicData === 'raw' ? bytes : Uint8Array.of(0x04, bytes.length, ...bytes);
}
