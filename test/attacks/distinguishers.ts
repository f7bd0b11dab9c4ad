import { p256 } from '@noble/curves/nist.js';
import { randomBytes } from '@noble/hashes/utils.js';
import { payloadKey, proofKey, signWithProofKey } from '../../client/derive.ts';
import { decryptPayload, encryptPayload } from '../../client/payload.ts';
import { type Bytes, concat, constantTimeEqual, toHex, xor } from '../../primitives/bytes.ts';
import { SecretBytes } from '../../primitives/secret-bytes.ts';
import type { Share } from '../../proto/gen/backupvault/v1/record_pb.ts';
import type { Body } from '../../protocol/body.ts';
import { proofTranscript } from '../../protocol/transcripts.ts';
import { type Evidence, type Guess, shareIn } from './attacker.ts';
import { type Consequence, proofKeysOf } from './consequences.ts';

/** A way to tell the true code from others, and a vault against which it would work. */
export interface Distinguisher {
  readonly looksFor: string;
  /** The likelier the candidate, the more. */
  readonly score: (guess: Guess, evidence: Evidence) => number | Promise<number>;
  /** The evidence as a flawed protocol would have left it. */
  readonly flaw: (evidence: Evidence, truth: Guess) => Evidence | Promise<Evidence>;
}

export const distinguishers: readonly Distinguisher[] = [
  {
    looksFor: 'the replica’s number in an x under the mask',
    score: ({ outputs }, { body, open }) => count(open, ({ index }, i) => (shareIn(body, index).x ^ byte(outputs[i], 0)) === index),
    flaw: (evidence, { outputs }) => {
      const xs = evidence.open.map(({ index }, i) => index ^ byte(outputs[i], 0));
      return new Set(xs).size < xs.length ? evidence : withShares(evidence, (_, i) => ({ x: xs[i] as number })); // no x comes twice
    },
  },
  {
    looksFor: 'zero bytes in a share',
    score: ({ shares }) => count(bytesOf(shares), (value) => value === 0),
    flaw: remask((share) => share.fill(0, 28)),
  },
  {
    looksFor: 'small bytes in a share',
    score: ({ shares }) => -bytesOf(shares).reduce((sum, value) => sum + value, 0),
    flaw: remask((share) => share.map((value) => value & 0x3f)),
  },
  {
    looksFor: 'a check byte in a share',
    score: ({ shares }) => count(shares, ({ y }) => y.reduce((a, b) => a ^ b, 0) === 0),
    flaw: remask(
      (share) =>
        share.with(
          31,
          share.slice(0, 31).reduce((a, b) => a ^ b, 0),
        ) as Bytes,
    ),
  },
  {
    looksFor: 'a repetition in a share',
    score: ({ shares }) => Math.max(...shares.map(({ y }) => likeness(y.slice(0, 16), y.slice(16)))),
    flaw: remask((share) => concat(share.slice(0, 16), share.slice(0, 16))),
  },
  {
    looksFor: 'the same share twice',
    score: ({ shares: [first, second] }) => likeness(first?.y, second?.y),
    flaw: remask((_, __, { shares }) => shares[0]?.y.slice() as Bytes),
  },
  {
    looksFor: 'the release share, or nearly',
    score: ({ shares }, { open }) => Math.max(...shares.map(({ y }, i) => likeness(y, open[i]?.release))),
    flaw: remask((share, { release }) => concat(release.slice(0, 24), share.slice(24))),
  },
  {
    looksFor: 'the same difference to the release share at both replicas', // as if s and R had all but the constant term in common
    score: ({ shares: [first, second] }, { open: [a, b] }) => likeness(difference(first?.y, a?.release), difference(second?.y, b?.release)),
    flaw: remask((_, { release }, { input }) => xor(release, input)),
  },
  {
    looksFor: 's and R from t − 1 shares, being alike',
    score: ({ secret }, { releaseSecret }) => likeness(secret, releaseSecret),
    flaw: remask((_, { release }) => release.slice() as Bytes),
  },
  {
    looksFor: 'a likeness to anything that is known',
    score: ({ outputs, keys, shares, secret, input }, { open, known }) => {
      const derived = [input, secret, ...outputs, ...keys, ...shares.map(({ y }) => y)];
      const facts = [...known, ...open.flatMap(({ seed, release }) => [seed, release])].filter(({ length }) => length === 32);
      return Math.max(...derived.flatMap((value) => facts.map((fact) => likeness(value, fact))));
    },
    flaw: (evidence, { keys }) =>
      withKnown(
        evidence,
        (keys[1] as Bytes).map((value, i) => (i < 16 ? value : 0)),
      ),
  },
  {
    looksFor: 'eight bytes of what follows from it in a message',
    score: ({ outputs, keys, shares, secret, input }, { known }) => {
      const traffic = Buffer.concat(known);
      return count(
        [input, secret, ...outputs, ...keys, ...shares.map(({ y }) => y)],
        (value) => traffic.indexOf(value.subarray(0, 8)) >= 0,
      );
    },
    flaw: (evidence, { outputs }) => withKnown(evidence, concat(randomBytes(3), (outputs[1] as Bytes).slice(0, 16))),
  },
  {
    looksFor: 'its element under a known scalar in a message',
    score: ({ xs }, { elements }) => {
      const there = setOf(elements);
      return count(xs, (x) => there.has(toHex(x)));
    },
    // A blind that is made of the code.
    flaw: (evidence, { selfBlinded }) => ({ ...evidence, elements: [...evidence.elements, selfBlinded.toBytes().slice(1)] }),
  },
  {
    looksFor: 's from t − 1 shares that makes A',
    score: ({ secret }, { body }) => Number(same(proofKeyOf(secret, body), body.proofKey.slice(1))),
    flaw: (evidence, { secret }) => withBody(evidence, { proofKey: proofKey(secret, evidence.body.rid, evidence.body.g) }),
  },
  {
    looksFor: 's from t − 1 shares that makes the proof',
    score: ({ secret }, evidence) => Number(isProvedBy(secret, evidence)),
    flaw: (evidence, { secret }) => ({ ...evidence, finish: { ...evidence.finish, proof: proofBy(secret, evidence) } }),
  },
  {
    looksFor: 's and R from t − 1 shares that open the payload',
    score: async ({ secret }, evidence) => Number((await decryptPayload(payloadKeyOf(secret, evidence), evidence.body)) !== undefined),
    flaw: async (evidence, { secret }) => {
      const { body } = evidence;
      const payload = await encryptPayload(payloadKeyOf(secret, evidence), new SecretBytes(randomBytes(32)), body);
      return withBody(evidence, { payload });
    },
  },
];

const byte = (bytes: Uint8Array | undefined, at: number) => bytes?.[at] as number;
const ys = (shares: Guess['shares']) => shares.map(({ y }) => y);
const bytesOf = (shares: Guess['shares']) => ys(shares).flatMap((y) => [...y]);
const same = constantTimeEqual;
const difference = (a: Uint8Array | undefined, b: Uint8Array | undefined) => xor(a as Uint8Array, b as Uint8Array);

function count<T>(items: readonly T[], holds: (item: T, i: number) => boolean): number {
  return items.filter(holds).length;
}

/** How many bytes are the same. */
function likeness(a: Uint8Array | undefined, b: Uint8Array | undefined): number {
  let equal = 0;
  for (let i = 0; i < (a?.length ?? 0); i++) if (a?.[i] === b?.[i]) equal++;
  return equal;
}

const payloadKeyOf = (s: Bytes, { body, releaseSecret }: Evidence) => payloadKey(s, releaseSecret, body.rid, body.g);

const proofOf = ({ body: { fleet, epoch, rid, g }, finish: { attempt, point, blindedBase } }: Evidence) =>
  proofTranscript({ fleet, epoch, rid, g }, attempt, point, blindedBase);

const proofKeyOf = (s: Bytes, body: Body) => (proofKeysOf([{ name: 's', value: s }], body) as [Consequence])[0].value;

const provers = new WeakMap<Evidence['finish'], readonly Uint8Array[]>();

/** A signature leaves two keys that it may be by (SEC 1 §4.1.6). */
function isProvedBy(s: Bytes, evidence: Evidence): boolean {
  const { finish, body } = evidence;
  const signature = p256.Signature.fromBytes(finish.proof);
  const known =
    provers.get(finish) ?? [0, 1].map((bit) => signature.addRecoveryBit(bit).recoverPublicKey(proofOf(evidence).digest).toBytes().slice(1));
  provers.set(finish, known);
  const x = proofKeyOf(s, body);
  return known.some((prover) => same(prover, x));
}

function proofBy(s: Bytes, evidence: Evidence): Bytes {
  const { rid, g } = evidence.body;
  return signWithProofKey(s, rid, g, proofOf(evidence));
}

const sets = new WeakMap<readonly Uint8Array[], ReadonlySet<string>>();

function setOf(elements: readonly Uint8Array[]): ReadonlySet<string> {
  const known = sets.get(elements) ?? new Set(elements.map(toHex));
  sets.set(elements, known);
  return known;
}

const withKnown = (evidence: Evidence, fact: Uint8Array): Evidence => ({ ...evidence, known: [...evidence.known, fact] });
const withBody = (evidence: Evidence, changes: Partial<Body>): Evidence => ({ ...evidence, body: { ...evidence.body, ...changes } });

function withShares(evidence: Evidence, changes: (share: Share, i: number) => Partial<Share>): Evidence {
  const { body, open } = evidence;
  const changed = body.shares.map((share) => {
    const i = open.findIndex(({ index }) => index === share.index);
    return i < 0 ? share : { ...share, ...changes(share, i) };
  });
  return withBody(evidence, { shares: changed });
}

/** Enrolments that hide something else than a share under the masks of the open replicas. */
function remask(change: (share: Bytes, state: Evidence['open'][number], truth: Guess) => Bytes): Distinguisher['flaw'] {
  return (evidence, truth) =>
    withShares(evidence, (_, i) => {
      const share = truth.shares[i]?.y.slice() as Bytes;
      return { mask: xor(truth.keys[i] as Bytes, change(share, evidence.open[i] as Evidence['open'][number], truth)) };
    });
}
