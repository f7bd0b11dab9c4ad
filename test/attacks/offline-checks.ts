import { createDecipheriv } from 'node:crypto';
import { ed25519 } from '@noble/curves/ed25519.js';
import { p256 } from '@noble/curves/nist.js';
import { split } from 'shamir-secret-sharing';
import { combineShares } from '../../client/shares.ts';
import { type Bytes, constantTimeEqual, utf8, xor } from '../../primitives/bytes.ts';
import { SecretBytes } from '../../primitives/secret-bytes.ts';
import { parsePoint } from '../../protocol/point.ts';
import { maskTranscript, payloadDataTranscript, payloadTranscript, releaseMaskTranscript } from '../../protocol/transcripts.ts';
import type { Candidate, Evidence, Guess } from './attacker.ts';
import {
  allKeysOf,
  type Consequence,
  hashesOf,
  hkdf,
  hkdfsOf,
  hmac,
  keysOf,
  mixturesOf,
  outputRoots,
  ownRoots,
  proofKeysOf,
  rootsOf,
  scalarOf,
  sha256,
  shareRoots,
  timesBase,
} from './consequences.ts';
import { type ClientFlaw, real } from './flawed-client.ts';
import { nonce, scalarIs, shareIs, sIs, signsUnder } from './flaws.ts';
import { Haystack } from './haystack.ts';
import { under } from './token-use.ts';

/** A way to check a code without t replicas, and a client that would allow it. */
export interface OfflineCheck {
  readonly looksFor: string;
  /** Names of what follows from the candidate and is there. Without a leak there is nothing, for the true code no more than for others. */
  readonly found: (guess: Guess, evidence: Evidence) => readonly string[] | Promise<readonly string[]>;
  readonly flaw: (truth: Candidate) => ClientFlaw;
}

export const offlineChecks: readonly OfflineCheck[] = [
  {
    looksFor: 'the code as it was typed',
    found: ({ code }, { everything }) => (everything.some((part) => Buffer.from(part).includes(code)) ? ['code'] : []),
    flaw: ({ code }) => nonce(() => utf8(code)),
  },
  {
    looksFor: 'what follows from it, as it is',
    found: (guess, evidence) => piecesIn(evidence, rootsOf(guess)),
    flaw: ({ input }) => nonce(() => input.slice(20)),
  },
  {
    looksFor: 'SHA-256 of what follows from it',
    found: (guess, evidence) => piecesIn(evidence, hashesOf(rootsOf(guess))),
    flaw: ({ input }) => nonce(() => sha256(input)),
  },
  {
    looksFor: 'SHA-256 of a known replica’s output',
    found: (guess, evidence) => piecesIn(evidence, hashesOf(outputRoots(guess))),
    flaw: () => {
      let output: Uint8Array;
      const maskKey: typeof real.maskKey = (y, name, hash) => {
        if (name.index === 1) output = y.slice(); // the client wipes its own
        return real.maskKey(y, name, hash);
      };
      return { maskKey, ...nonce(() => sha256(output)) };
    },
  },
  {
    looksFor: 'HMAC or hash of its input, with something public',
    found: (guess, evidence) => piecesIn(evidence, mixturesOf(ownRoots(guess), evidence)),
    flaw: ({ input }) => nonce(({ rid }) => hmac(input, rid)),
  },
  {
    looksFor: 'HKDF, under any label, of its input',
    found: (guess, evidence) => piecesIn(evidence, hkdfsOf(ownRoots(guess), evidence)),
    flaw: ({ input }) => nonce(({ rid, g }) => hkdf(input, payloadTranscript(rid, g).digest)),
  },
  {
    looksFor: 'HKDF, under any label, of a known replica’s output',
    found: (guess, evidence) => piecesIn(evidence, hkdfsOf(outputRoots(guess), evidence)),
    flaw: () => {
      let output: Uint8Array;
      const maskKey: typeof real.maskKey = (y, name, hash) => {
        if (name.index === 1) output = y.slice(); // the client wipes its own
        return real.maskKey(y, name, hash);
      };
      return { maskKey, ...nonce(({ rid, g }) => hkdf(output, payloadTranscript(rid, g).digest)) };
    },
  },
  {
    looksFor: 'HKDF, under any label, or hash of a share under a mask',
    found: (guess, evidence) =>
      piecesIn(evidence, [
        ...hashesOf(shareRoots(guess)),
        ...hkdfsOf(shareRoots(guess), evidence),
        ...mixturesOf(partialShares(guess), evidence),
      ]),
    flaw: () => {
      let share: Uint8Array;
      const splitPair: typeof real.splitPair = async (...args) => {
        const pairs = await real.splitPair(...args);
        share = pairs[0]?.s.slice() as Uint8Array;
        return pairs;
      };
      return { splitPair, ...nonce(() => sha256(share)) };
    },
  },
  {
    looksFor: 'a share under a mask that is made of it',
    found: ({ shares, ...guess }, evidence) => {
      const masked = new Haystack(shares.map(({ y }) => y));
      const own = ownRoots({ shares, ...guess });
      return namesOf([...own, ...hashesOf(own), ...hkdfsOf(own, evidence)], ({ value }) => masked.hasPieceOf(value));
    },
    flaw: ({ input }) => shareIs(sha256(input)),
  },
  {
    looksFor: 'x coordinates that are made of it',
    // Four bytes in a row, by four x: by chance once in 10^9 for each value, so just some values.
    found: (guess, { body }) => {
      const xs = body.shares.map(({ x }) => x);
      const own = ownRoots(guess);
      return namesOf([...own, ...hashesOf(own)], ({ value }) => xsFrom(value, xs.length).join() === xs.join());
    },
    flaw: ({ input }) => ({
      maskKey: async () => new Uint8Array(32) as Bytes, // the share unmasked
      splitPair: async (s, r, holders, threshold) => {
        const all = await split(Uint8Array.of(...s, ...r), 255, threshold);
        return xsFrom(sha256(input), holders).map((x) => {
          const share = all.find((one) => one[64] === x) as Uint8Array;
          return { x: share[64] as number, s: share.slice(0, 32) as Bytes, r: share.slice(32, 64) as Bytes };
        });
      },
    }),
  },
  {
    looksFor: 'masks that open without the replicas',
    found: async (guess, { body }) => {
      const { rid, g, shares, threshold } = body;
      const secrets = await Promise.all(
        secretsOf(ownRoots(guess)).flatMap(({ name, value }) => {
          const unmasked = (how: string, keyOf: (index: number) => Uint8Array) =>
            combineShares(shares.slice(0, threshold).map(({ x, mask, index }) => ({ x, y: xor(mask, keyOf(index)) }))).then((s) => ({
              name: `${how} ${name}`,
              value: s,
            }));
          return [unmasked('mask key', (index) => hmac(maskTranscript(rid, g, index).digest, value)), unmasked('mask', () => value)];
        }),
      );
      return opening(body, secrets);
    },
    flaw: ({ input }) => ({ maskKey: (_, name, hash) => real.maskKey(input, name, hash) }),
  },
  {
    looksFor: 'release masks that open without the holders', // every t shares of R must then combine to the same
    found: async (guess, { body }) => {
      const { rid, g, shares, threshold } = body;
      const fitting = secretsOf(rootsOf(guess)).map(async ({ name, value }) => {
        const opened = shares.map(({ index, x, releaseMask }) => ({
          x,
          y: xor(releaseMask, hkdf(value, releaseMaskTranscript(rid, g, index).digest)),
        }));
        const [first, last] = await Promise.all([opened.slice(0, threshold), opened.slice(-threshold)].map(combineShares));
        return constantTimeEqual(first as Bytes, last as Bytes) ? [name] : [];
      });
      return (await Promise.all(fitting)).flat();
    },
    flaw: ({ input }) => ({ releaseMaskKey: (_, rid, g, index) => real.releaseMaskKey(input, rid, g, index) }),
  },
  {
    looksFor: 's made of it, in A',
    found: (guess, evidence) => opening(evidence.body, allKeysOf(guess, evidence)),
    flaw: ({ input }) => sIs(sha256(input)),
  },
  {
    looksFor: 'a signature under a number that is made of it', // whoever knows the number computes a
    found: (guess, evidence) => piecesIn(evidence, productsOf(guess)),
    flaw: ({ input }) => signsUnder(sha256(input)),
  },
  {
    looksFor: 'a payload under a key that is made of it',
    found: (guess, evidence) => {
      const { rid, g } = evidence.body;
      const info = payloadTranscript(rid, g).digest;
      const keys = allKeysOf(guess, evidence);
      const withRelease = secretsOf(rootsOf(guess)).map(({ name, value }) => ({
        name: `HKDF(${name} ‖ R of t−1 shares, payload)`,
        value: hkdf(Uint8Array.of(...value, ...evidence.releaseSecret), info),
      }));
      return openingPayload(evidence.body, [...keys, ...withRelease]);
    },
    flaw: ({ input }) => ({ payloadKey: (_, __, rid, g) => real.payloadKey(input, new Uint8Array(0), rid, g) }),
  },
  {
    looksFor: 'an owner key that is made of it',
    found: (guess, evidence) =>
      piecesIn(
        evidence,
        keysOf(ownRoots(guess).slice(0, 2), evidence).map(({ name, value }) => ({ name, value: ed25519.getPublicKey(value) })),
      ),
    flaw: ({ input }) => ({ ownerKey: (_, rid) => real.ownerKey(new SecretBytes(input), rid) }),
  },
  {
    looksFor: 'a release base that is made of it',
    found: (guess, evidence) => piecesIn(evidence, productsOf(guess)),
    flaw: ({ input }) => scalarIs('τ', sha256(input)),
  },
  {
    looksFor: 'a blinded release that is made of it',
    found: (guess, evidence) => piecesIn(evidence, timesOf(guess, evidence.body.releaseBase)),
    flaw: ({ input }) => scalarIs('b', sha256(input)),
  },
  {
    looksFor: 'a blind that is made of it',
    found: (guess, evidence) => piecesIn(evidence, timesOf(guess, guess.element.toBytes(false))),
    flaw: ({ input, element }) => ({
      blind: () => {
        const blind = scalarOf(sha256(input));
        const point = parsePoint(element.multiply(blind).toBytes(), 'point');
        return { input: new SecretBytes(input), blind: new SecretBytes(p256.Point.Fn.toBytes(blind)), point };
      },
    }),
  },
];

const haystacks = new WeakMap<Evidence, Haystack>();

function piecesIn(evidence: Evidence, consequences: readonly Consequence[]): string[] {
  const haystack = haystacks.get(evidence) ?? new Haystack(evidence.everything);
  haystacks.set(evidence, haystack);
  return namesOf(consequences, ({ value }) => haystack.hasPieceOf(value));
}

const namesOf = (consequences: readonly Consequence[], holds: (one: Consequence) => boolean): string[] =>
  consequences.filter(holds).map(({ name }) => name);

/** Themselves, and hashed. */
const secretsOf = (roots: readonly Consequence[]) => [...roots, ...hashesOf(roots)].filter(({ value }) => value.length === 32);
const partialShares = (guess: Guess) => shareRoots(guess).filter(({ name }) => name.startsWith('share'));

/** x of a point under each number that is made of the code. */
const timesOf = (guess: Guess, point: Uint8Array) =>
  secretsOf(ownRoots(guess)).map(({ name, value }) => ({
    name: `${name} times a point`,
    value: under(p256.Point.Fn.toBytes(scalarOf(value)))(point) as Uint8Array,
  }));
const productsOf = (guess: Guess) => secretsOf(ownRoots(guess)).map(({ name, value }) => ({ name: `${name}·G`, value: timesBase(value) }));

/** No x is 0, and none comes twice. */
const xsFrom = (bytes: Uint8Array, howMany: number) => [...new Set(Array.from(bytes, (byte) => (byte % 255) + 1))].slice(0, howMany);

/** Which of them is s, by A. */
const opening = (body: Evidence['body'], secrets: readonly Consequence[]) =>
  namesOf(proofKeysOf(secrets, body), ({ value }) => constantTimeEqual(value, body.proofKey.slice(1)));

/** Which of them is the key of the payload. */
function openingPayload(body: Evidence['body'], keys: readonly Consequence[]): string[] {
  const { payload } = body;
  const associated = payloadDataTranscript(body).digest;
  return namesOf(keys, ({ value }) => {
    const decipher = createDecipheriv('aes-256-gcm', value, payload.subarray(0, 12));
    decipher.setAAD(associated).setAuthTag(payload.subarray(-16));
    decipher.update(payload.subarray(12, -16));
    try {
      decipher.final();
      return true;
    } catch {
      return false;
    }
  });
}
