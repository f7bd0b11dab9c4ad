import { randomBytes } from 'node:crypto';
import { p256 } from '@noble/curves/nist.js';
import { constantTimeEqual } from '../../../primitives/bytes.ts';
import { type ErrorCode, isVaultError, VaultError } from '../../../primitives/errors.ts';
import type { CompressedPoint } from '../../../protocol/point.ts';
import { proofTranscript } from '../../../protocol/transcripts.ts';
import { lift, type XCoordinate, xOf } from '../../../protocol/x-coordinate.ts';
import { bootObject, bootPlaces } from '../boot-record.ts';
import { decompress } from '../curve.ts';
import { deriveX } from '../derive.ts';
import { evaluate } from '../evaluate.ts';
import { explainDerivation } from '../explain-derivation.ts';
import { deviations } from '../keys/key-record.ts';
import { keyNames } from '../keys/key-sets.ts';
import type { ReplicaToken } from '../keys/replica.ts';
import { offer, prepare } from '../offer.ts';
import { requireProof } from '../proof.ts';
import { multiple, multiply, scalarWithLeadingZero, signWith } from '../reference.ts';
import { release } from '../release.ts';
import { mac, requireMac, sign } from '../verify.ts';
import { HOST_LABEL } from './host-keys.ts';
import type { Kept } from './trial-keys.ts';

/** One thing that the vault does with a token, alone: so that what fails has a name. */
export interface Trial {
  readonly name: string;
  /** What the vault lacks without it. */
  readonly without: string;
  /** The fields of a profile that may help. */
  readonly fields: string;
  /** Throws if the token does not do it, or does it wrongly. */
  readonly run: (token: ReplicaToken, kept: Kept) => void;
}

const derivation = 'readout, deriveTemplate, derivePoint, private.derived';

/** In the order of what builds on what. */
export const trials: readonly Trial[] = [
  {
    name: 'keys read back as they were made',
    without: 'nobody can tell from outside what a key may do',
    fields: 'neverSend, private, local',
    run: (token, kept) => {
      for (const name of keyNames) {
        const wrong = deviations(token, name, { token: kept === 'token' });
        if (wrong.length > 0) throw faulty(`of ${name}, these differ: ${wrong.join(', ')}`);
      }
    },
  },
  {
    name: 'raw ECDH',
    without: 'there is no OPRF: a KDF destroys the group structure, so it takes the bare x coordinate (CKD_NULL)',
    fields: derivation,
    run: (token) => {
      explainDerivation(token);
      for (const name of ['oprf', 'release'] as const)
        for (const scalar of [1n, 3n, ORDER - 3n]) expectX(derive(token, name, scalar), multiply(publicKeys(token)[name], scalar));
    },
  },
  {
    name: 'leading zeros of x',
    without: 'one evaluation in 256 is wrong',
    fields: 'deriveTemplate.send (valueLength)',
    run: (token) => {
      const short = scalarWithLeadingZero(token.identity.oprfKey, 2n);
      expectX(derive(token, 'oprf', short), multiply(token.identity.oprfKey, short));
    },
  },
  {
    name: 'make and verify a MAC',
    without: 'there are no tweaks, and what the replica stores outside the token cannot be told from what an intruder wrote',
    fields: 'hmac, wrongSignature',
    run: (token) => {
      const digest = randomBytes(32);
      const tag = mac(token, digest);
      requireMac(token, digest, tag);
      if (!constantTimeEqual(tag, mac(token, digest))) throw faulty('it is another one each time');
      expectRefusal('MAC_REFUSED', 'a wrong MAC', () => requireMac(token, digest, flip(tag)));
    },
  },
  {
    name: 'sign a receipt',
    without: 'no client can tell what a replica did',
    fields: 'none: CKM_ECDSA over 32 bytes is asked of every token',
    run: (token) => {
      const digest = randomBytes(32);
      if (!p256.verify(sign(token, digest), digest, token.identity.receiptKey, { prehash: false, lowS: false }))
        throw faulty('the signature does not verify');
    },
  },
  {
    name: 'verify a proof',
    without: 'a release would not be tied to who knew the code',
    fields: 'verify (host, where the token takes no public key from outside), readPoint, private.publicKey, wrongSignature',
    run: (token) => {
      const a = randomScalar();
      const transcript = proofTranscript({ ...token, rid: randomBytes(32), g: randomBytes(16) }, 1, multiple(2n), multiple(3n));
      const proof = signWith(a, transcript.digest);
      requireProof(token, multiple(a), transcript, proof);
      expectRefusal('PROOF_REFUSED', 'a wrong proof', () => requireProof(token, multiple(a), transcript, flip(proof)));
      expectRefusal('PROOF_REFUSED', 'a proof by another key', () => requireProof(token, multiple(5n), transcript, proof));
    },
  },
  {
    name: 'enrol, evaluate and release one record',
    without: 'nothing can be recovered',
    fields: derivation,
    run: oneRecord,
  },
  {
    name: 'keep who served last',
    without: 'a second daemon on a copy of the disk would not be noticed',
    fields: 'bootRecord, private.data',
    run: ({ session, profile }, kept) =>
      session.withTemporary((keep) => {
        const record = randomBytes(32);
        const template = bootObject(profile, HOST_LABEL, record);
        const object = keep(session.create(kept === 'token' ? template : { ...template, token: false }));
        const read = session.read(object, bootPlaces[profile.bootRecord].attribute);
        if (read === undefined || !constantTimeEqual(read, record)) throw faulty('it reads back another record');
      }),
  },
];

/** With the client played by software. */
function oneRecord(token: ReplicaToken): void {
  const { fleet, epoch } = token;
  const [rid, seed, bodyHash, g] = [randomBytes(32), randomBytes(32), randomBytes(32), randomBytes(16)];
  const [e, a, b] = [randomScalar(), randomScalar(), randomScalar()];
  const [point, blindedBase, generation] = [multiple(e), multiple(b), { rid, g, seed }];
  const ticket = { proofKey: multiple(a), nonce: randomBytes(16), expiresAtMs: 1n, changes: 0n };
  const { evaluated, releaseElement } = offer(token, { ...generation, point, ...ticket });
  const enrolled = { ...generation, bodyHash, enrolledAtMs: 1n };
  const stored = { ...enrolled, epoch, mac: prepare(token, { ...enrolled, point, evaluated, releaseElement }) };
  const again = evaluate(token, { generation: stored, point, attempt: 1, limit: 3 });
  if (!constantTimeEqual(again.evaluated, evaluated)) throw faulty('it evaluates another value than when it enrolled');
  const proof = signWith(a, proofTranscript({ fleet, epoch, rid, g }, 1, point, blindedBase).digest);
  const { released } = release(token, { generation: stored, proofKey: multiple(a), attempt: 1, point, blindedBase, proof });
  expectX(released, multiply(lift(releaseElement), b)); // r·t·B of B = b·G is b·F
}

const ORDER = p256.Point.Fn.ORDER;

const randomScalar = (): bigint => p256.Point.Fn.fromBytes(p256.utils.randomSecretKey());

const publicKeys = ({ identity }: ReplicaToken) => ({ oprf: identity.oprfKey, release: identity.releaseKey });

const derive = (token: ReplicaToken, name: 'oprf' | 'release', scalar: bigint): XCoordinate =>
  deriveX(token, name, decompress(multiple(scalar), 'P'));

const flip = (bytes: Uint8Array): Uint8Array => bytes.map((byte, i) => (i === bytes.length - 1 ? byte ^ 1 : byte));

function expectX(actual: XCoordinate, expected: CompressedPoint): void {
  if (!constantTimeEqual(actual, xOf(expected))) throw faulty('the x coordinate is not the one that software computes');
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
