import { createDecipheriv } from 'node:crypto';
import { ed25519 } from '@noble/curves/ed25519.js';
import { p256 } from '@noble/curves/nist.js';
import { split } from 'shamir-secret-sharing';
import { combineShares } from '../../client/shares.ts';
import { type Bytes, constantTimeEqual, utf8, xor } from '../../primitives/bytes.ts';
import { SecretBytes } from '../../primitives/secret-bytes.ts';
import { parsePoint } from '../../protocol/point.ts';
import { authTranscript, maskTranscript, payloadDataTranscript, payloadTranscript } from '../../protocol/transcripts.ts';
import type { Candidate, Evidence, Guess } from './attacker.ts';
import {
  allKeysOf,
  type Consequence,
  commitsOf,
  hashesOf,
  hkdf,
  hkdfsOf,
  hmac,
  keysOf,
  mixturesOf,
  outputRoots,
  ownRoots,
  proofsUnder,
  rootsOf,
  sha256,
  shareRoots,
} from './consequences.ts';
import { type ClientFlaw, real } from './flawed-client.ts';
import { Haystack } from './haystack.ts';

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
      const maskKey: typeof real.maskKey = (y, rid, g, index) => {
        if (index === 1) output = y;
        return real.maskKey(y, rid, g, index);
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
    flaw: ({ input }) => ({ authKey: (_, rid, g, index) => real.authKey(input, rid, g, index) }),
  },
  {
    looksFor: 'HKDF, under any label, of a known replica’s output',
    found: (guess, evidence) => piecesIn(evidence, hkdfsOf(outputRoots(guess), evidence)),
    flaw: () => {
      const outputs: Uint8Array[] = [];
      const maskKey: typeof real.maskKey = (y, rid, g, index) => {
        outputs[index] = y;
        return real.maskKey(y, rid, g, index);
      };
      return { maskKey, authKey: (s, rid, g, index) => real.authKey(outputs[index] ?? s, rid, g, index) };
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
    // The first t shares agree with s; a client that has t true ones does not miss another.
    flaw: ({ input }) => ({
      splitPair: async (s, r, holders, threshold) => {
        const pairs = await real.splitPair(s, r, holders, threshold);
        pairs[0]?.s.set(sha256(input));
        s.set(await combineShares(pairs.slice(0, threshold).map((pair) => ({ x: pair.x, y: pair.s }))));
        return pairs;
      },
    }),
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
      maskKey: () => new Uint8Array(32) as Bytes, // the share unmasked
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
          return [unmasked('mask key', (index) => hkdf(value, maskTranscript(rid, g, index).digest)), unmasked('mask', () => value)];
        }),
      );
      return opening(body, secrets);
    },
    flaw: ({ input }) => ({ maskKey: (_, rid, g, index) => real.maskKey(input, rid, g, index) }),
  },
  {
    looksFor: 's made of it, in the commitment',
    found: (guess, evidence) => opening(evidence.body, allKeysOf(guess, evidence)),
    flaw: ({ input }) => sIs(sha256(input)),
  },
  {
    looksFor: 's made of it, in auth_i',
    found: (guess, evidence) => {
      const { rid, g, shares } = evidence.body;
      const auths = ({ name, value }: Consequence) =>
        shares.map(({ index }) => ({ name: `auth ${index} of ${name}`, value: hkdf(value, authTranscript(rid, g, index).digest) }));
      return piecesIn(evidence, secretsOf(rootsOf(guess)).flatMap(auths));
    },
    flaw: ({ input }) => sIs(sha256(input)),
  },
  {
    looksFor: 'a proof under a key that is made of it', // for an honest replica: a hostile one has its auth_i
    found: (guess, evidence) => {
      return piecesIn(evidence, proofsUnder(allKeysOf(guess, evidence), evidence));
    },
    flaw: ({ input }) => ({ authKey: (s, rid, g, index) => real.authKey(index === 4 ? input : s, rid, g, index) }),
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
    looksFor: 'an ephemeral key that is made of it',
    found: (guess, evidence) =>
      piecesIn(
        evidence,
        secretsOf(ownRoots(guess)).map(({ name, value }) => ({
          name: `${name} as a key`,
          value: p256.Point.BASE.multiply(scalarOf(value)).toBytes(),
        })),
      ),
    flaw: ({ input }) => ({
      newEphemeralKey: () => {
        const secretKey = p256.Point.Fn.toBytes(scalarOf(sha256(input)));
        return { secretKey: new SecretBytes(secretKey), publicKey: parsePoint(p256.getPublicKey(secretKey), 'client_key') };
      },
    }),
  },
  {
    looksFor: 'a blind that is made of it',
    found: (guess, evidence) =>
      piecesIn(
        evidence,
        secretsOf(ownRoots(guess)).map(({ name, value }) => ({
          name: `${name} as a blind`,
          value: guess.element.multiplyUnsafe(scalarOf(value)).toBytes(),
        })),
      ),
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

const scalarOf = (bytes: Uint8Array) => p256.Point.Fn.create(BigInt(`0x${Buffer.from(bytes).toString('hex')}`));
/** No x is 0, and none comes twice. */
const xsFrom = (bytes: Uint8Array, howMany: number) => [...new Set(Array.from(bytes, (byte) => (byte % 255) + 1))].slice(0, howMany);

/** Which of them is s, by the commitment. */
const opening = (body: Evidence['body'], secrets: readonly Consequence[]) =>
  namesOf(commitsOf(secrets, body), ({ value }) => constantTimeEqual(value, body.commit));

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

/** A client that does not draw the payload's nonce. */
function nonce(of: (body: Parameters<typeof real.encryptPayload>[2]) => Uint8Array): ClientFlaw {
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

/** A client that does not draw s. */
const sIs = (value: Uint8Array): ClientFlaw => ({
  splitPair: (s, ...args) => {
    s.set(value);
    return real.splitPair(s, ...args);
  },
});
