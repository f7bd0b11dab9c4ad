import { p256 } from '@noble/curves/nist.js';
import { combineShares, type Share } from '../../client/shares.ts';
import { type Bytes, concat } from '../../primitives/bytes.ts';
import { SecretBytes } from '../../primitives/secret-bytes.ts';
import { firstScalar } from '../../protocol/scalar.ts';
import { proofKeyTranscript } from '../../protocol/transcripts.ts';
import { hmac, scalarOf, timesBase } from './consequences.ts';
import { type ClientFlaw, real } from './flawed-client.ts';

// Clients that do not draw at random what they should, in one enrolment and the recoveries after it.

const { Fn } = p256.Point;

/** The first secret that it draws. */
export function sIs(value: Uint8Array): ClientFlaw {
  let drawn = 0;
  return { randomSecret: (length) => (drawn++ === 0 ? new SecretBytes(value as Bytes) : real.randomSecret(length)) };
}

/** τ is the first scalar that it draws; b it makes of the blind's secret. */
export function scalarIs(which: 'τ' | 'b', value: Uint8Array): ClientFlaw {
  let drawn = 0;
  const flawed = () => new SecretBytes(Fn.toBytes(scalarOf(value)));
  return which === 'b' ? { baseScalar: flawed } : { randomScalar: () => (drawn++ === 0 ? flawed() : real.randomScalar()) };
}

/** The first holder's share of s; the others are of the polynomial that goes through it. */
export const shareIs = (value: Uint8Array): ClientFlaw => ({
  splitPair: async (s, r, holders, threshold) => {
    const pairs = await real.splitPair(s, r, holders, threshold);
    pairs[0]?.s.set(value);
    const points = [{ x: 0, y: s.slice() }, ...pairs.slice(0, threshold - 1).map((pair) => ({ x: pair.x, y: pair.s }))];
    for (const { x, s: share } of pairs.slice(threshold - 1)) share.set(await valueAt(x, points));
    return pairs;
  },
});

/** Of the polynomial through these points: addition is xor, so moving the x by one of them makes it the place that is combined. */
const valueAt = (x: number, points: readonly Share[]) => combineShares(points.map((point) => ({ ...point, x: point.x ^ x })));

/** ECDSA by the proof key, under a number that is not drawn: r‖s. */
export const signsUnder = (number: Uint8Array): ClientFlaw => ({
  signWithProofKey: (s, rid, g, { digest }) => {
    const a = Fn.fromBytes(firstScalar([hmac(s, concat(proofKeyTranscript(rid, g).digest, Uint8Array.of(1))) as Bytes]));
    const r = scalarOf(timesBase(number));
    return concat(Fn.toBytes(r), Fn.toBytes(Fn.mul(Fn.inv(scalarOf(number)), Fn.add(scalarOf(digest), Fn.mul(r, a)))));
  },
});

/** The payload's nonce. */
export function nonce(of: (body: Parameters<typeof real.encryptPayload>[2]) => Uint8Array): ClientFlaw {
  return {
    encryptPayload: (key, backupKey, body) => {
      const draw = crypto.getRandomValues;
      crypto.getRandomValues = (array) => {
        if (array instanceof Uint8Array) array.set(of(body).slice(0, array.length));
        return array;
      };
      try {
        return real.encryptPayload(key, backupKey, body); // draws before it waits for anything
      } finally {
        crypto.getRandomValues = draw;
      }
    },
  };
}
