import { randomBytes } from 'node:crypto';
import { p256 } from '@noble/curves/nist.js';
import { constantTimeEqual } from '../../primitives/bytes.ts';
import { type ErrorCode, isVaultError, VaultError } from '../../primitives/errors.ts';
import type { CompressedPoint } from '../../protocol/point.ts';
import { adopt } from './adopt.ts';
import { evaluate, newOprfKey } from './evaluate.ts';
import { deviations } from './keys/key-record.ts';
import { type KeyName, keyNames, storageNames } from './keys/key-sets.ts';
import { asOf, type ReplicaToken } from './keys/replica.ts';
import type { TestExtent } from './pool/messages.ts';
import { runRequiredProbes, whyUnfit } from './probe/probes.ts';
import { hmac, multiple, multiply, ReferenceClient, scalarWithLeadingZero } from './reference.ts';
import { release } from './release.ts';
import { mac, sign } from './verify.ts';

/**
 * Shows, before anything is served, that this token does what the profile says and refuses what it must: the operations of the port
 * themselves against software, then the probes. Makes session objects only. The short one is for a token that passed before: what it
 * refuses is not tried again, and a record lives once. Throws TOKEN_UNFIT.
 */
export function selfTest(token: ReplicaToken, extent: TestExtent = 'full'): void {
  checkKeys(token);
  checkReceiptKey(token);
  checkOperations(token, extent);
  if (extent === 'full') checkProbes(token);
}

function checkKeys(token: ReplicaToken): void {
  expectAttributes(token, keyNames);
  for (const { number, keys } of token.older) if (keys) expectAttributes(asOf(token, number), storageNames, ` of set ${number}`);
}

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

/** One record's life, with the client played by software. */
function checkOperations(token: ReplicaToken, extent: TestExtent): void {
  const expectRefusal = extent === 'full' ? tryRefusal : () => {};
  const client = new ReferenceClient(token.profile.sessionSuite);
  const born = newOprfKey(token, multiple(2n));
  const stored = { epoch: token.set, wrappedKey: born.wrappedKey, publicKey: born.publicKey };
  const digest = randomBytes(32);
  const check = { digest, tag: mac(token, digest) };
  const tampered = { digest, tag: flip(check.tag) };

  // RFC 9497 §3.3.1 is k·P; with P = e·G that is e·K. Once for each sign of y, and with leading zeros in x, which some tokens strip.
  const short = scalarWithLeadingZero(born.publicKey, 2n);
  for (const scalar of extent === 'full' ? [1n, 2n, 3n, ORDER - 2n, ORDER - 3n, short, ORDER - short] : [short])
    expectPoint(evaluate(token, { mac: check, ...stored, point: multiple(scalar) }), multiply(born.publicKey, scalar));
  expectPoint(born.evaluated, multiply(born.publicKey, 2n));
  expectRefusal('MALFORMED', 'the negated generator', () => evaluate(token, { mac: check, ...stored, point: multiple(ORDER - 1n) }));
  expectRefusal('MAC_REFUSED', 'a wrong MAC', () => evaluate(token, { mac: tampered, ...stored, point: multiple(2n) }));
  expectRefusal('TOKEN_FAULT', 'a corrupted OPRF key', () =>
    evaluate(token, { mac: check, ...stored, wrappedKey: flip(born.wrappedKey), point: multiple(2n) }),
  );

  const [authTranscript, releaseTranscript, replyTranscript, proofTranscript] = Array.from({ length: 4 }, () => randomBytes(32)) as [
    Buffer,
    Buffer,
    Buffer,
    Buffer,
  ];
  const [auth, share] = [randomBytes(32), randomBytes(32)];
  const seal = (transcript: Uint8Array, secret: Uint8Array) => ({
    sessionTranscript: transcript,
    sealed: client.seal(token.identity.sessionKey, transcript, secret),
  });
  const enrolment = {
    ticket: check,
    clientKey: client.publicKey,
    auth: seal(authTranscript, auth),
    release: seal(releaseTranscript, share),
    ...stored,
    point: multiple(2n),
    evaluated: born.evaluated,
  };
  expectRefusal('TICKET_REFUSED', 'a wrong ticket', () => adopt(token, { ...enrolment, ticket: tampered }));
  expectRefusal('SEAL_REFUSED', 'a secret sealed for another purpose', () =>
    adopt(token, { ...enrolment, auth: { ...enrolment.auth, sessionTranscript: releaseTranscript } }),
  );
  const blobs = adopt(token, enrolment);

  const recovery = {
    epoch: token.set,
    mac: check,
    ...blobs,
    proofTranscript,
    proof: hmac(auth, proofTranscript),
    clientKey: client.publicKey,
    sessionTranscript: replyTranscript,
  };
  expectRefusal('PROOF_REFUSED', 'a wrong proof', () => release(token, { ...recovery, proof: flip(recovery.proof) }));
  expectRefusal('TOKEN_FAULT', 'a corrupted auth secret', () => release(token, { ...recovery, wrappedAuth: flip(blobs.wrappedAuth) }));
  expectRefusal('TOKEN_FAULT', 'a corrupted release share', () =>
    release(token, { ...recovery, wrappedRelease: flip(blobs.wrappedRelease) }),
  );
  expectRefusal('TOKEN_FAULT', 'an auth secret in place of a share', () =>
    release(token, { ...recovery, wrappedRelease: blobs.wrappedAuth }),
  );
  if (!constantTimeEqual(client.open(token.identity.sessionKey, replyTranscript, release(token, recovery)), share))
    throw unfit('what it releases is not what was enrolled.');
}

/** What could not be tried was not refused: a token that hides what it would do is as unfit as one that does it. */
function checkProbes(token: ReplicaToken): void {
  const why = whyUnfit(runRequiredProbes(token));
  if (why !== undefined) throw unfit(why);
}

const ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;

function expectPoint(actual: CompressedPoint, expected: CompressedPoint): void {
  if (!constantTimeEqual(actual, expected)) throw unfit('its evaluations differ from what software computes.');
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
