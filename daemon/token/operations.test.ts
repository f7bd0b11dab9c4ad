import { randomBytes } from 'node:crypto';
import { p256 } from '@noble/curves/nist.js';
import { afterAll, describe, expect, it } from 'vitest';
import type { ErrorCode } from '../../primitives/errors.ts';
import { type CompressedPoint, parsePoint } from '../../protocol/point.ts';
import { adopt } from './adopt.ts';
import { evaluate, newOprfKey } from './evaluate.ts';
import { openReplica } from './keys/replica.ts';
import { hmac, multiple, multiply, ReferenceClient, scalarWithLeadingZero } from './reference.ts';
import { release } from './release.ts';
import { makeTestToken, pin } from './testing.ts';
import { mac, requireMac, sign } from './verify.ts';

const ORDER = p256.Point.Fn.ORDER;
const token = openReplica(makeTestToken(afterAll).location, pin());
afterAll(() => token.module.C_Finalize());

const born = newOprfKey(token, multiple(2n));
const { publicKey, wrappedKey } = born;
const digest = randomBytes(32);
const check = { digest, tag: mac(token, digest) };
const client = new ReferenceClient(token.profile.sessionSuite);
const [auth, share, authTranscript, shareTranscript, proofTranscript, replyTranscript] = Array.from({ length: 6 }, () =>
  randomBytes(32),
) as [Buffer, Buffer, Buffer, Buffer, Buffer, Buffer];
const seal = (sessionTranscript: Uint8Array, secret: Uint8Array) => ({
  sessionTranscript,
  sealed: client.seal(token.identity.sessionKey, sessionTranscript, secret),
});
const enrolment = {
  ticket: check,
  clientKey: client.publicKey,
  auth: seal(authTranscript, auth),
  release: seal(shareTranscript, share),
  wrappedKey,
  publicKey,
  point: multiple(2n),
  evaluated: born.evaluated,
};
const blobs = adopt(token, enrolment);
const recovery = {
  epoch: 1,
  mac: check,
  ...blobs,
  proofTranscript,
  proof: hmac(auth, proofTranscript),
  clientKey: client.publicKey,
  sessionTranscript: replyTranscript,
};
const flip = (bytes: Uint8Array, at = bytes.length - 1): Uint8Array => bytes.map((byte, i) => (i === at ? byte ^ 1 : byte));
const failsWith = (code: ErrorCode) => expect.objectContaining({ name: 'VaultError', code });
const evaluated = (point: CompressedPoint) => evaluate(token, { epoch: 1, mac: check, wrappedKey, publicKey, point });

describe('evaluating', () => {
  const short = scalarWithLeadingZero(publicKey, 2n);
  let pointWithLeadingZero = 2n;
  while (multiple(pointWithLeadingZero)[1] !== 0) pointWithLeadingZero++;

  it.each([
    ['P = G', 1n],
    ['P = 2G', 2n],
    ['P = −2G', ORDER - 2n],
    ['P = −3G', ORDER - 3n],
    ['P with a leading zero in x', pointWithLeadingZero],
    ['k·P with a leading zero in x', short],
    ['k·(P+G) with a leading zero in x', short - 1n],
    ['the negated one', ORDER - short],
  ])('agrees with software for %s', (_, e) => expect(evaluated(multiple(e))).toEqual(multiply(publicKey, e)));

  it('agrees with software for random points', () => {
    for (let i = 0; i < 100; i++) {
      const e = BigInt(`0x${randomBytes(31).toString('hex')}`) + 2n;
      expect(evaluated(multiple(e))).toEqual(multiply(publicKey, e));
    }
  });

  it('refuses −G and points off the curve', () => {
    const off = parsePoint(Uint8Array.of(2, ...new Uint8Array(31), 1), 'P');
    for (const point of [multiple(ORDER - 1n), off, new Uint8Array(33) as CompressedPoint, new Uint8Array(32) as CompressedPoint])
      expect(() => evaluated(point)).toThrow(failsWith('MALFORMED'));
    expect(() => newOprfKey(token, off)).toThrow(failsWith('MALFORMED'));
  });

  it('verifies the MAC before it looks at the key', () => {
    const request = { epoch: 1, wrappedKey: new Uint8Array(80), publicKey, point: multiple(2n) };
    expect(() => evaluate(token, { ...request, mac: { digest, tag: flip(check.tag) } })).toThrow(failsWith('MAC_REFUSED'));
    expect(() => evaluate(token, { ...request, mac: { digest: flip(digest), tag: check.tag } })).toThrow(failsWith('MAC_REFUSED'));
    expect(() => evaluate(token, { ...request, mac: { digest, tag: check.tag.slice(1) } })).toThrow(failsWith('MALFORMED'));
    expect(() => evaluate(token, { ...request, mac: check })).toThrow(failsWith('TOKEN_FAULT'));
  });

  it('refuses a key that is corrupted in any byte, too long, or empty', () => {
    const attempt = (blob: Uint8Array) => () => evaluate(token, { epoch: 1, mac: check, wrappedKey: blob, publicKey, point: multiple(2n) });
    for (let i = 0; i < wrappedKey.length; i++) expect(attempt(flip(wrappedKey, i))).toThrow(failsWith('TOKEN_FAULT'));
    expect(attempt(new Uint8Array(257))).toThrow(failsWith('MALFORMED'));
    expect(attempt(new Uint8Array(0))).toThrow(failsWith('MALFORMED'));
    expect(attempt(blobs.wrappedAuth)).toThrow(failsWith('TOKEN_FAULT'));
  });

  it('refuses the public key of another record', () => {
    const other = newOprfKey(token, multiple(2n)).publicKey;
    expect(() => evaluate(token, { epoch: 1, mac: check, wrappedKey, publicKey: other, point: multiple(2n) })).toThrow(
      failsWith('TOKEN_FAULT'),
    );
  });
});

describe('adopting', () => {
  it.each([
    ['a forged ticket', { ticket: { digest, tag: flip(check.tag) } }, 'TICKET_REFUSED'],
    ['auth under the transcript of release', { auth: { ...enrolment.auth, sessionTranscript: shareTranscript } }, 'SEAL_REFUSED'],
    ['release under another body’s transcript', { release: { ...enrolment.release, sessionTranscript: randomBytes(32) } }, 'SEAL_REFUSED'],
    ['a seal corrupted', { auth: { ...enrolment.auth, sealed: flip(enrolment.auth.sealed) } }, 'SEAL_REFUSED'],
    ['another E', { clientKey: new ReferenceClient(token.profile.sessionSuite).publicKey }, 'SEAL_REFUSED'],
    ['an offer that was another', { evaluated: multiple(9n) }, 'TOKEN_FAULT'],
    ['a point that was another', { point: multiple(3n) }, 'TOKEN_FAULT'],
    ['a secret of 24 bytes', { auth: seal(authTranscript, randomBytes(24)) }, 'MALFORMED'],
    ['a transcript of 31 bytes', { auth: { ...enrolment.auth, sessionTranscript: randomBytes(31) } }, 'MALFORMED'],
  ] as const)('refuses %s', (_, change, code) => expect(() => adopt(token, { ...enrolment, ...change })).toThrow(failsWith(code)));

  // E and −E give the same x (protocol §3): the transcript binds E, and the caller computes it from the E of the request.
  it('opens under −E, so E has to be in the transcript', () => {
    const negated = Uint8Array.of((client.publicKey[0] as number) ^ 1, ...client.publicKey.slice(1)) as CompressedPoint;
    expect(adopt(token, { ...enrolment, clientKey: negated }).wrappedAuth).toHaveLength(40);
  });
});

describe('releasing', () => {
  it('gives the share to who proves the code, and only under this session', () => {
    const sealed = release(token, recovery);
    expect(client.open(token.identity.sessionKey, replyTranscript, sealed)).toEqual(new Uint8Array(share));
    expect(() => client.open(token.identity.sessionKey, shareTranscript, sealed)).toThrow();
  });

  it.each([
    ['a wrong MAC', { mac: { digest, tag: flip(check.tag) } }, 'MAC_REFUSED'],
    ['a wrong proof', { proof: flip(recovery.proof) }, 'PROOF_REFUSED'],
    ['a proof for another attempt', { proofTranscript: randomBytes(32) }, 'PROOF_REFUSED'],
    ['a proof cut short', { proof: recovery.proof.slice(0, 31) }, 'MALFORMED'],
    ['the blobs swapped', { wrappedAuth: blobs.wrappedRelease, wrappedRelease: blobs.wrappedAuth }, 'TOKEN_FAULT'],
    ['an auth secret in place of the share', { wrappedRelease: blobs.wrappedAuth }, 'TOKEN_FAULT'],
    ['a blob of 48 bytes', { wrappedAuth: new Uint8Array(48) }, 'MALFORMED'],
  ] as const)('refuses %s', (_, change, code) => expect(() => release(token, { ...recovery, ...change })).toThrow(failsWith(code)));
});

describe('the replica’s own keys', () => {
  it('sign transcripts so that anyone can verify them', () => {
    const signature = sign(token, digest);
    expect(signature).toHaveLength(64);
    expect(p256.verify(signature, digest, token.identity.receiptKey, { prehash: false, lowS: false })).toBe(true);
    expect(() => sign(token, randomBytes(20))).toThrow(failsWith('MALFORMED'));
  });

  it('make and verify MACs', () => {
    expect(() => requireMac(token, check, 'MAC_REFUSED')).not.toThrow();
    expect(() => requireMac(token, { digest: randomBytes(32), tag: check.tag }, 'MAC_REFUSED')).toThrow(failsWith('MAC_REFUSED'));
  });
});

it('leaves no object behind in the session', () => {
  const objects = () => token.session.find({ token: false }, 1000).length;
  const before = objects();
  evaluated(multiple(5n));
  adopt(token, enrolment);
  release(token, recovery);
  newOprfKey(token, multiple(5n));
  expect(() => release(token, { ...recovery, proof: flip(recovery.proof) })).toThrow();
  expect(() => adopt(token, { ...enrolment, evaluated: multiple(9n) })).toThrow();
  expect(objects()).toBe(before);
  expect(before).toBe(0);
});
