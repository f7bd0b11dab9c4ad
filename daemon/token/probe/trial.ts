import { randomBytes } from 'node:crypto';
import { p256 } from '@noble/curves/nist.js';
import { constantTimeEqual } from '../../../primitives/bytes.ts';
import { type ErrorCode, isVaultError, VaultError } from '../../../primitives/errors.ts';
import type { CompressedPoint } from '../../../protocol/point.ts';
import { tweakFrom } from '../../../protocol/scalar.ts';
import { proofTranscript, type TweakUse, tweakTranscript } from '../../../protocol/transcripts.ts';
import { type XCoordinate, xOf } from '../../../protocol/x-coordinate.ts';
import { bootObject, bootPlaces } from '../boot-record.ts';
import { decompress } from '../curve.ts';
import { checkDerivations, deriveX } from '../derive.ts';
import { explainDerivation } from '../explain-derivation.ts';
import { deviations } from '../keys/key-record.ts';
import { keyNames } from '../keys/key-sets.ts';
import type { ReplicaToken } from '../keys/replica.ts';
import type { TestExtent } from '../pool/messages.ts';
import { explainProofKey, requireProof } from '../proof.ts';
import { multiple, multiply, scalarWithLeadingZero, signWith } from '../reference.ts';
import { CODE_SCALAR, type Enrolled, enrol, recover, releaseRequest, ticketFields } from '../software-device.ts';
import { evaluate, offer, prepare, release } from '../steps.ts';
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
  /** Who runs it beside the probe: every self-test, the full one, or none, since it may leave an object in the token. */
  readonly inSelfTest: TestExtent | 'never';
  /** Done once, where others are done a few times for their median. */
  readonly isLong?: true;
  /** Throws if the token does not do it: TOKEN_UNFIT if wrongly. */
  readonly run: (token: ReplicaToken, kept: Kept) => void;
}

export const runsIn = ({ inSelfTest }: Trial, extent: TestExtent): boolean => inSelfTest === 'short' || inSelfTest === extent;

const derivation = 'readout, deriveTemplate, derivePoint, private.derived';

/** In the order of what builds on what. */
export const trials: readonly Trial[] = [
  {
    name: 'keys read back as they were made',
    without: 'nobody can tell from outside what a key may do',
    fields: 'neverSend, private, local',
    inSelfTest: 'short',
    run: (token, kept) => {
      for (const name of keyNames) {
        const wrong = deviations(token, name, { token: kept === 'token' });
        if (wrong.length > 0) throw faulty(`key ${name} does not have the attributes it should: ${wrong.join(', ')}`);
      }
    },
  },
  {
    name: 'raw ECDH',
    without: 'there is no OPRF: a KDF destroys the group structure, so it takes the bare x coordinate (CKD_NULL)',
    fields: derivation,
    inSelfTest: 'short',
    run: (token) => {
      explainDerivation(token);
      try {
        checkDerivations(token);
      } catch (error) {
        throw isVaultError(error, 'TOKEN_FAULT') ? faulty(error.message.replace(/\.$/, '')) : error;
      }
    },
  },
  {
    name: 'either sign of y, and leading zeros of x',
    without: 'one evaluation in 256 is wrong',
    fields: 'deriveTemplate.send (valueLength)',
    isLong: true,
    inSelfTest: 'full',
    run: (token) => {
      const { oprfKey, releaseKey } = token.identity;
      for (const [name, key] of [
        ['oprf', oprfKey],
        ['release', releaseKey],
      ] as const) {
        const short = scalarWithLeadingZero(key, 2n);
        for (const scalar of [1n, 2n, ORDER - 2n, short, ORDER - short])
          expectX(deriveX(token, name, decompress(multiple(scalar), 'P')), multiply(key, scalar));
      }
    },
  },
  {
    name: 'make and verify a MAC',
    without: 'there are no tweaks, and what the replica stores outside the token cannot be told from what an intruder wrote',
    fields: 'hmac, wrongSignature',
    inSelfTest: 'full',
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
    inSelfTest: 'short',
    run: (token) => {
      const digest = randomBytes(32);
      if (!p256.verify(sign(token, digest), digest, token.identity.receiptKey, { prehash: false, lowS: false }))
        throw faulty('the signature does not verify with the public key of the receipt key');
    },
  },
  {
    name: 'verify a proof',
    without: 'a release would not be tied to who knew the code',
    fields: 'verify (host, where the token takes no public key from outside), readPoint, private.publicKey, wrongSignature',
    inSelfTest: 'full',
    run: (token) => {
      const transcript = proofTranscript({ ...token, rid: randomBytes(32), g: randomBytes(16) }, 1, multiple(2n), multiple(3n));
      const proof = signWith(5n, transcript.digest);
      requireProof(token, multiple(5n), transcript, proof);
      expectRefusal('PROOF_REFUSED', 'a wrong proof', () => requireProof(token, multiple(5n), transcript, flip(proof)));
    },
  },
  {
    name: 'enrol, evaluate and release one record',
    without: 'nothing can be recovered',
    fields: derivation,
    inSelfTest: 'short',
    run: (token) => {
      explainProofKey(token); // in every self-test: the token may refuse it since
      const enrolled = enrol(token);
      const { oprfKey, releaseKey } = token.identity;
      const product = Fn.mul(tweakOf(token, 'oprf', enrolled), CODE_SCALAR);
      expectX(enrolled.opened.evaluated, multiply(oprfKey, product));
      expectX(enrolled.offered.releaseElement, multiply(releaseKey, tweakOf(token, 'release', enrolled)));
      const { evaluated, mask } = recover(token, enrolled);
      if (!constantTimeEqual(evaluated, enrolled.opened.evaluated) || !constantTimeEqual(mask, enrolled.opened.mask))
        throw faulty('a recovery gives another value than the enrolment');
    },
  },
  {
    name: 'refuse what was changed on the way, or in the store',
    without: 'an intruder who edits what is stored, or sends what no client made, is served',
    fields: 'wrongSignature',
    isLong: true,
    inSelfTest: 'full',
    run: refusals,
  },
  {
    name: 'keep who served last',
    without: 'a second daemon on a copy of the disk would not be noticed',
    fields: 'bootRecord, private.data',
    inSelfTest: 'never',
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

function refusals(token: ReplicaToken): void {
  const enrolled = enrol(token);
  const { stored, offered } = enrolled;
  expectRefusal('MALFORMED', 'a point off the curve', () => offer(token, { ...stored, ...ticketFields(1n), point: offCurve }));
  expectRefusal('TOKEN_FAULT', 'an offer that was another', () =>
    prepare(token, { ...stored, ...offered, previous: new Uint8Array(0), evaluated: offered.releaseElement }),
  );
  const [point, generation] = [multiple(7n), { ...stored, mac: flip(stored.mac) }];
  expectRefusal('MAC_REFUSED', 'a wrong MAC', () => evaluate(token, { generation, point, attempt: 1, limit: 3, used: 1 }));
  const request = releaseRequest(token, enrolled, point, multiple(3n));
  expectRefusal('MAC_REFUSED', 'a wrong MAC', () => release(token, { ...request, generation }));
  expectRefusal('PROOF_REFUSED', 'a wrong proof', () => release(token, { ...request, proof: flip(request.proof) }));
  expectRefusal('PROOF_REFUSED', 'a proof by another key', () => release(token, { ...request, proofKey: multiple(5n) }));
  expectRefusal('MALFORMED', 'a base off the curve', () => release(token, releaseRequest(token, enrolled, point, offCurve)));
}

const { Fn } = p256.Point;
const ORDER = Fn.ORDER;

/** By software, but for the token's HMAC. */
function tweakOf(token: ReplicaToken, use: TweakUse, { stored: { rid, g, seed } }: Enrolled): bigint {
  const { fleet, index } = token;
  return Fn.fromBytes(tweakFrom(mac(token, tweakTranscript(use, { fleet, index, rid, g, seed }).digest)));
}

/** x = 1 */
const offCurve = Uint8Array.of(2, ...new Uint8Array(31), 1) as CompressedPoint;

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
