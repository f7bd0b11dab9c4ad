import { randomBytes } from 'node:crypto';
import { p256 } from '@noble/curves/nist.js';
import { constantTimeEqual } from '../../primitives/bytes.ts';
import { type ErrorCode, isVaultError, VaultError } from '../../primitives/errors.ts';
import type { CompressedPoint } from '../../protocol/point.ts';
import { tweakFrom } from '../../protocol/scalar.ts';
import { proofTranscript, type TweakUse, tweakTranscript } from '../../protocol/transcripts.ts';
import { type XCoordinate, xOf } from '../../protocol/x-coordinate.ts';
import { checkDerivations } from './check-derivations.ts';
import { decompress } from './curve.ts';
import { deriveX } from './derive.ts';
import { evaluate } from './evaluate.ts';
import { explainDerivation } from './explain-derivation.ts';
import { deviations } from './keys/key-record.ts';
import { type KeyName, keyNames, rotatedNames } from './keys/key-sets.ts';
import { asOf, type ReplicaToken } from './keys/replica.ts';
import { offer, prepare } from './offer.ts';
import type { TestExtent } from './pool/messages.ts';
import type { StoredGeneration } from './port.ts';
import { runRequiredProbes, whyUnfit } from './probe/probes.ts';
import { explainProofKey } from './proof.ts';
import { multiple, multiply, scalarWithLeadingZero, signWith } from './reference.ts';
import { release } from './release.ts';
import { mac, sign } from './verify.ts';

/**
 * Shows, before anything is served, that this token does what the profile says and refuses what it must: the operations of the port
 * themselves against software, then the probes. Makes session objects only. The short one is for a token that passed before: what it
 * refuses is not tried again. Throws TOKEN_UNFIT.
 */
export function selfTest(token: ReplicaToken, extent: TestExtent = 'full'): void {
  checkKeys(token);
  checkReceiptKey(token);
  checkKnownAnswers(token, extent);
  explainProofKey(token);
  checkOperations(token, extent);
  if (extent === 'full') checkProbes(token);
}

function checkKeys(token: ReplicaToken): void {
  expectAttributes(token, keyNames);
  for (const { number, keys } of token.older)
    if (keys) {
      const older = asOf(token, number);
      expectAttributes(older, rotatedNames, ` of set ${number}`);
      if (constantTimeEqual(deriveX(older, 'oprf', generator()), deriveX(older, 'release', generator())))
        throw unfit(`OPRF key and release key of set ${number} are the same, or one is the negative of the other.`);
    }
}

const generator = () => decompress(multiple(1n), 'G');

function expectAttributes(token: ReplicaToken, names: readonly KeyName[], ofSet = ''): void {
  for (const name of names) {
    const wrong = deviations(token, name);
    if (wrong.length > 0) throw unfit(`key ${name}${ofSet} does not have the attributes it should: ${wrong.join(', ')}.`);
  }
}

function checkReceiptKey(token: ReplicaToken): void {
  const digest = randomBytes(32);
  const signature = sign(token, digest);
  if (!p256.verify(signature, digest, token.identity.receiptKey, { prehash: false, lowS: false }))
    throw unfit('signatures of the receipt key do not verify with its public key.');
}

/** x(k·eG) is x(e·K): for random e; and in full for either sign of y, and with leading zeros in x, which some tokens strip. */
function checkKnownAnswers(token: ReplicaToken, extent: TestExtent): void {
  explainDerivation(token);
  try {
    checkDerivations(token);
  } catch (error) {
    if (isVaultError(error, 'TOKEN_FAULT')) throw unfit(error.message);
    throw error;
  }
  if (extent === 'short') return;
  const { oprfKey, releaseKey } = token.identity;
  for (const [name, key] of [
    ['oprf', oprfKey],
    ['release', releaseKey],
  ] as const) {
    const short = scalarWithLeadingZero(key, 2n);
    for (const scalar of [1n, 2n, ORDER - 2n, short, ORDER - short])
      expectX(deriveX(token, name, decompress(multiple(scalar), 'P')), xOf(multiply(key, scalar)));
  }
}

/** One record's life, with the client played by software. */
function checkOperations(token: ReplicaToken, extent: TestExtent): void {
  const expectRefusal = extent === 'full' ? tryRefusal : () => {};
  const { fleet, epoch, identity } = token;
  const [rid, seed, bodyHash] = [randomBytes(32), randomBytes(32), randomBytes(32)];
  const generation = { rid, g: randomBytes(16), seed };
  const [e, a, b] = [randomScalar(), randomScalar(), randomScalar()];
  const [point, proofKey, blindedBase] = [multiple(e), multiple(a), multiple(b)];

  const ticket = { proofKey, nonce: randomBytes(16), expiresAtMs: 1n, changes: 0n };
  const { evaluated, releaseElement } = offer(token, { ...generation, point, ...ticket });
  const [k, r] = [tweakOf(token, 'oprf', generation), tweakOf(token, 'release', generation)];
  const product = xOf(multiply(identity.oprfKey, Fn.mul(k, e)));
  expectX(evaluated, product);
  expectX(releaseElement, xOf(multiply(identity.releaseKey, r)));
  expectRefusal('MALFORMED', 'a point off the curve', () => offer(token, { ...generation, ...ticket, point: offCurve }));

  const enrolment = { ...generation, bodyHash, enrolledAtMs: 1n, point, evaluated, releaseElement };
  expectRefusal('TOKEN_FAULT', 'an offer that was another', () => prepare(token, { ...enrolment, evaluated: releaseElement }));
  const stored: StoredGeneration = { ...generation, epoch, bodyHash, enrolledAtMs: 1n, mac: prepare(token, enrolment) };
  const tampered = { ...stored, mac: flip(stored.mac) };

  const attempt = { generation: stored, point, attempt: 1 };
  expectX(evaluate(token, { ...attempt, limit: 3 }).evaluated, product);
  expectRefusal('MAC_REFUSED', 'a wrong MAC', () => evaluate(token, { ...attempt, limit: 3, generation: tampered }));

  const proof = signWith(a, proofTranscript({ fleet, epoch, rid, g: generation.g }, 1, point, blindedBase).digest);
  const recovery = { ...attempt, proofKey, blindedBase, proof };
  expectRefusal('MAC_REFUSED', 'a wrong MAC', () => release(token, { ...recovery, generation: tampered }));
  expectRefusal('PROOF_REFUSED', 'a wrong proof', () => release(token, { ...recovery, proof: flip(proof) }));
  expectRefusal('PROOF_REFUSED', 'a proof by another key', () => release(token, { ...recovery, proofKey: multiple(b) }));
  expectRefusal('MALFORMED', 'a base off the curve', () => {
    const offBase = proofTranscript({ fleet, epoch, rid, g: generation.g }, 1, point, offCurve).digest;
    return release(token, { ...recovery, blindedBase: offCurve, proof: signWith(a, offBase) });
  });
  expectX(release(token, recovery).released, xOf(multiply(identity.releaseKey, Fn.mul(r, b))));
}

/** By software, but for the token's HMAC. */
function tweakOf(token: ReplicaToken, use: TweakUse, { rid, g, seed }: { rid: Uint8Array; g: Uint8Array; seed: Uint8Array }): bigint {
  const { fleet, index } = token;
  return toInteger(tweakFrom(mac(token, tweakTranscript(use, { fleet, index, rid, g, seed }).digest)));
}

/** What could not be tried was not refused: a token that hides what it would do is as unfit as one that does it. */
function checkProbes(token: ReplicaToken): void {
  const why = whyUnfit(runRequiredProbes(token));
  if (why !== undefined) throw unfit(why);
}

const { Fn } = p256.Point;
const ORDER = Fn.ORDER;

/** x = 1 */
const offCurve = Uint8Array.of(2, ...new Uint8Array(31), 1) as CompressedPoint;

const toInteger = (bytes: Uint8Array): bigint => BigInt(`0x${Buffer.from(bytes).toString('hex')}`);

const randomScalar = (): bigint => Fn.fromBytes(p256.utils.randomSecretKey());

function expectX(actual: XCoordinate, expected: XCoordinate): void {
  if (!constantTimeEqual(actual, expected)) throw unfit('its ECDH differs from what software computes.');
}

function tryRefusal(code: ErrorCode, what: string, attempt: () => unknown): void {
  try {
    attempt();
  } catch (error) {
    if (isVaultError(error, code)) return;
    throw error;
  }
  throw unfit(`it accepts ${what}.`);
}

const flip = (bytes: Uint8Array): Uint8Array => bytes.map((byte, i) => (i === bytes.length - 1 ? byte ^ 1 : byte));

const unfit = (why: string): VaultError => new VaultError('TOKEN_UNFIT', `The token is not fit to serve: ${why}`);
