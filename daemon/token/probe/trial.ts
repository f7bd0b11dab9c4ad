import { randomBytes } from 'node:crypto';
import { p256 } from '@noble/curves/nist.js';
import { type Bytes, constantTimeEqual } from '../../../primitives/bytes.ts';
import { type ErrorCode, isVaultError, VaultError } from '../../../primitives/errors.ts';
import { adopt } from '../adopt.ts';
import { bootObject, bootPlaces } from '../boot-record.ts';
import { decompress } from '../curve.ts';
import { evaluate, newOprfKey, rawEcdh } from '../evaluate.ts';
import { deviations } from '../keys/key-record.ts';
import { keyNames } from '../keys/key-sets.ts';
import { type ReplicaToken, readPoint } from '../keys/replica.ts';
import { kekMechanism, newOprfKey as newOprfKeyTemplate, publicKey as publicKeyTemplate } from '../keys/templates.ts';
import { CKM, plain } from '../pkcs11/mechanisms.ts';
import { hmac, multiple, multiply, ReferenceClient, scalarWithLeadingZero } from '../reference.ts';
import { release } from '../release.ts';
import { openSealed } from '../session-key.ts';
import { unwrapOprfKey, unwrapStored, WRAPPED_KEY_MAX, wrapSecret } from '../stored.ts';
import { mac, requireMac, sign } from '../verify.ts';
import { openedSecret } from './host-keys.ts';

/** One thing that the vault does with a token, alone: so that what fails has a name. Session objects only. */
export interface Trial {
  readonly name: string;
  /** What the vault lacks without it. */
  readonly without: string;
  /** Throws if the token does not do it, or does it wrongly. */
  readonly run: (token: ReplicaToken) => void;
}

/** In the order of what builds on what. */
export const trials: readonly Trial[] = [
  {
    name: 'keys read back as they were made',
    without: 'nobody can tell from outside what a key may do',
    run: (token) => {
      for (const name of keyNames) {
        const wrong = deviations(token, name, { token: false });
        if (wrong.length > 0) throw faulty(`of ${name}, these differ: ${wrong.join(', ')}`);
      }
    },
  },
  {
    name: 'make an EC key pair',
    without: 'there is no OPRF key in the token',
    run: (token) => token.session.withTemporary((keep) => newPair(token, keep)),
  },
  {
    name: 'raw ECDH',
    without: 'there is no OPRF: a KDF destroys the group structure, so it takes the bare x coordinate (CKD_NULL)',
    run: (token) =>
      token.session.withTemporary((keep) => {
        const { key, publicKey } = newPair(token, keep);
        const short = scalarWithLeadingZero(publicKey, 2n); // some tokens strip the zeros
        const points = [multiple(3n), multiple(short)] as const;
        const xs = rawEcdh(token, key, [decompress(points[0], 'P'), decompress(points[1], 'P')]);
        for (const [i, scalar] of [3n, short].entries())
          expectEqual(xs[i] as Bytes, multiply(publicKey, scalar).subarray(1), 'the x coordinate is not that of k·P');
      }),
  },
  {
    name: 'wrap and unwrap an EC private key',
    without: 'OPRF keys cannot be stored outside the token, whose room for keys ends at some thousands',
    run: (token) =>
      token.session.withTemporary((keep) => {
        const { session, profile, keys } = token;
        const { key, publicKey } = newPair(token, keep);
        const blob = session.wrap(plain(kekMechanism('oprf', profile)), keys['kek-oprf'], key, WRAPPED_KEY_MAX);
        keep(unwrapOprfKey(token, blob, publicKey));
        expectRefusal('TOKEN_FAULT', 'a corrupted key', () => keep(unwrapOprfKey(token, flip(blob), publicKey)));
      }),
  },
  {
    name: 'evaluate the OPRF under a stored key',
    without: 'nothing can be recovered',
    run: (token) => {
      const check = macCheck(token);
      const { publicKey, wrappedKey } = newOprfKey(token, multiple(2n));
      for (const scalar of [1n, 5n, ORDER - 5n]) {
        const evaluated = evaluate(token, { epoch: token.set, mac: check, wrappedKey, publicKey, point: multiple(scalar) });
        expectEqual(evaluated, multiply(publicKey, scalar), 'the evaluation is not what software computes');
      }
    },
  },
  {
    name: 'wrap and unwrap a secret (RFC 3394)',
    without: 'clients, who make and open such blobs, cannot talk with the token',
    run: (token) =>
      token.session.withTemporary((keep) => {
        const blob = wrapSecret(token, 'auth', keep(openedSecret(token, 'auth')));
        keep(unwrapStored(token, 'auth', blob));
        expectRefusal('TOKEN_FAULT', 'a corrupted secret', () => keep(unwrapStored(token, 'auth', flip(blob))));
      }),
  },
  {
    name: 'derive a session key',
    without: 'what clients send would have to pass through the host’s memory',
    run: (token) => {
      const client = new ReferenceClient(token.profile.sessionSuite);
      const [transcript, other] = [randomBytes(32), randomBytes(32)];
      const sealed = client.seal(token.identity.sessionKey, transcript, randomBytes(32));
      token.session.withTemporary((keep) => {
        keep(openSealed(token, 'auth', client.publicKey, { sessionTranscript: transcript, sealed }));
        expectRefusal('SEAL_REFUSED', 'a secret of another session', () =>
          keep(openSealed(token, 'auth', client.publicKey, { sessionTranscript: other, sealed })),
        );
      });
    },
  },
  {
    name: 'sign a receipt',
    without: 'no client can tell what a replica did',
    run: (token) => {
      const digest = randomBytes(32);
      if (!p256.verify(sign(token, digest), digest, token.identity.receiptKey, { prehash: false, lowS: false }))
        throw faulty('the signature does not verify');
    },
  },
  {
    name: 'make and verify a MAC',
    without: 'what the replica stores outside the token cannot be told from what an intruder wrote',
    run: (token) => {
      const check = macCheck(token);
      requireMac(token, check, 'MAC_REFUSED');
      expectRefusal('MAC_REFUSED', 'a wrong MAC', () => requireMac(token, { ...check, tag: flip(check.tag) }, 'MAC_REFUSED'));
    },
  },
  {
    name: 'enrol and release one record',
    without: 'nothing can be recovered',
    run: enrolAndRelease,
  },
  {
    name: 'keep who served last',
    without: 'a second daemon on a copy of the disk would not be noticed',
    run: ({ session, profile }) =>
      session.withTemporary((keep) => {
        const record = randomBytes(32);
        const object = keep(session.create({ ...bootObject(profile.bootRecord, 'bkv/probe/boot', record), token: false }));
        expectEqual(session.read(object, bootPlaces[profile.bootRecord].attribute), record, 'it reads back another record');
      }),
  },
];

function enrolAndRelease(token: ReplicaToken): void {
  const client = new ReferenceClient(token.profile.sessionSuite);
  const [a, b, c, proofTranscript, auth, share] = Array.from({ length: 6 }, () => randomBytes(32)) as [
    Buffer,
    Buffer,
    Buffer,
    Buffer,
    Buffer,
    Buffer,
  ];
  const seal = (sessionTranscript: Uint8Array, secret: Uint8Array) => ({
    sessionTranscript,
    sealed: client.seal(token.identity.sessionKey, sessionTranscript, secret),
  });
  const check = macCheck(token);
  const point = multiple(2n);
  const born = newOprfKey(token, point);
  const blobs = adopt(token, { ticket: check, clientKey: client.publicKey, auth: seal(a, auth), release: seal(b, share), point, ...born });
  const request = {
    epoch: token.set,
    mac: check,
    ...blobs,
    proofTranscript,
    proof: hmac(auth, proofTranscript),
    clientKey: client.publicKey,
  };
  const released = release(token, { ...request, sessionTranscript: c });
  expectEqual(client.open(token.identity.sessionKey, c, released), share, 'what it releases is not what was enrolled');
  expectRefusal('PROOF_REFUSED', 'a wrong proof', () => release(token, { ...request, proof: flip(request.proof), sessionTranscript: c }));
}

const ORDER = p256.Point.Fn.ORDER;

function newPair(token: ReplicaToken, keep: Parameters<Parameters<ReplicaToken['session']['withTemporary']>[0]>[0]) {
  const { session, profile } = token;
  const made = session.generateKeyPair(plain(CKM.EC_KEY_PAIR_GEN), publicKeyTemplate(false, false), newOprfKeyTemplate(profile));
  return { key: keep(made.privateKey), publicKey: readPoint(session, keep(made.publicKey), profile) };
}

function macCheck(token: ReplicaToken): { digest: Uint8Array; tag: Uint8Array } {
  const digest = randomBytes(32);
  return { digest, tag: mac(token, digest) };
}

const flip = (bytes: Uint8Array): Uint8Array => bytes.map((byte, i) => (i === bytes.length - 1 ? byte ^ 1 : byte));

function expectEqual(actual: Uint8Array | undefined, expected: Uint8Array, otherwise: string): void {
  if (actual === undefined || !constantTimeEqual(actual, expected)) throw faulty(otherwise);
}

function expectRefusal(code: ErrorCode, what: string, attempt: () => unknown): void {
  try {
    attempt();
  } catch (error) {
    if (isVaultError(error, code)) return;
    throw error;
  }
  throw faulty(`it accepts ${what}`);
}

const faulty = (why: string): VaultError => new VaultError('TOKEN_UNFIT', why);
