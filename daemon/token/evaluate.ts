import { type Bytes, exactly } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import { type CompressedPoint, parsePoint } from '../../protocol/point.ts';
import { type AffinePoint, uncompressed } from './curve.ts';
import { beginEvaluation, type Evaluation } from './evaluation.ts';
import { asOf, type ReplicaToken, readPoint, type StorageToken } from './keys/replica.ts';
import {
  kekMechanism,
  newOprfKey as newOprfKeyTemplate,
  publicKey as publicKeyTemplate,
  readableX,
  throwAwayKey,
  wrappableX,
} from './keys/templates.ts';
import { CKM, cbc, ecdh, plain } from './pkcs11/mechanisms.ts';
import type { KeyHandle } from './pkcs11/session.ts';
import type { TokenPort } from './port.ts';
import { unwrapOprfKey, WRAPPED_KEY_MAX } from './stored.ts';
import { requireMac } from './verify.ts';

type Request<Name extends 'evaluate' | 'newOprfKey'> = Parameters<TokenPort[Name]>[0];

/** RFC 9497 §3.3.1 BlindEvaluate: k·P. */
export function blindEvaluate(token: StorageToken, key: KeyHandle, publicKey: CompressedPoint, point: CompressedPoint): CompressedPoint {
  const { points, finish } = beginEvaluation(publicKey, point);
  return finish(rawEcdh(token, key, points));
}

/** TokenPort.evaluate, in one thread. */
export function evaluate(token: ReplicaToken, request: Request<'evaluate'>): CompressedPoint {
  const { points, finish } = beginEvaluation(request.publicKey, request.point);
  return finish(deriveStored(token, { ...request, points }));
}

/** The token's part of TokenPort.evaluate. */
export function deriveStored(token: ReplicaToken, request: Omit<Request<'evaluate'>, 'point'> & Pick<Evaluation, 'points'>): Bytes[] {
  const { epoch, mac, wrappedKey, publicKey, points } = request;
  const reading = asOf(token, epoch);
  requireMac(reading, mac, 'MAC_REFUSED');
  return token.session.withTemporary((keep) => rawEcdh(reading, keep(unwrapOprfKey(reading, wrappedKey, publicKey)), points));
}

/** Evaluates with a key stored under KEK_oprf. The caller has verified a MAC over the blob. */
export function evaluateStored(
  token: StorageToken,
  wrappedKey: Uint8Array,
  publicKey: CompressedPoint,
  point: CompressedPoint,
): CompressedPoint {
  return token.session.withTemporary((keep) => blindEvaluate(token, keep(unwrapOprfKey(token, wrappedKey, publicKey)), publicKey, point));
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

/** x(k·P) of each point, 32 bytes, on the way that the profile's `rawEcdh` names. */
export function rawEcdh(token: StorageToken, key: KeyHandle, points: readonly AffinePoint[]): Bytes[] {
  if (token.profile.rawEcdh === 'direct') return points.map((point) => readX(token, key, point));
  return token.session.withTemporary((keep) => {
    const throwAway = keep(token.session.generateKey(plain(CKM.AES_KEY_GEN), throwAwayKey));
    return points.map((point) => unwrapX(token, key, point, throwAway));
  });
}

/** `direct`: the derived value is made readable and read. */
function readX(token: StorageToken, key: KeyHandle, point: AffinePoint): Bytes {
  return token.session.withTemporary((keep) => {
    const derived = keep(token.session.derive(ecdh(publicData(token, point)), key, readableX));
    return asX(token.session.read(derived, 'value'));
  });
}

/** `wrap-and-decrypt`: where no key may be read, it leaves under a key of the token that was made to decrypt it again. */
function unwrapX(token: StorageToken, key: KeyHandle, point: AffinePoint, throwAway: KeyHandle): Bytes {
  const { session } = token;
  return session.withTemporary((keep) => {
    const derived = keep(session.derive(ecdh(publicData(token, point)), key, wrappableX));
    return asX(session.decrypt(cbc(), throwAway, session.wrap(cbc(), throwAway, derived, 64)));
  });
}

function asX(value: Uint8Array | undefined): Bytes {
  if (value?.length !== 32) throw new VaultError('TOKEN_FAULT', 'The token’s ECDH did not give an x coordinate of 32 bytes.');
  return exactly(32, value, 'x');
}

/** A point as this token's ECDH takes it. */
export function publicData(token: StorageToken, point: AffinePoint): Uint8Array {
  const bytes = uncompressed(point);
  return token.profile.ecdhPublicData === 'raw' ? bytes : Uint8Array.of(0x04, bytes.length, ...bytes);
}
