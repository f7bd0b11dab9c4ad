import { combine } from 'shamir-secret-sharing';
import { parseCurveX } from '../../client/curve.ts';
import { codeInput, signWithProofKey } from '../../client/derive.ts';
import { findSecret, openPayload, unmaskShares } from '../../client/open-body.ts';
import { type Blinded, blind } from '../../client/oprf.ts';
import type { Share } from '../../client/shares.ts';
import type { KeptShare } from '../../daemon/ledger/seed-share.ts';
import type { StoredGeneration, TokenPort } from '../../daemon/token/port.ts';
import { choices } from '../../primitives/choices.ts';
import { isVaultError } from '../../primitives/errors.ts';
import { SecretBytes } from '../../primitives/secret-bytes.ts';
import type { HashedBody } from '../../protocol/body.ts';
import type { CompressedPoint } from '../../protocol/point.ts';
import type { SubRecord } from '../../protocol/sub-record.ts';
import { proofTranscript, subRecordTranscript } from '../../protocol/transcripts.ts';
import { quickHash } from '../harness/soft-client.ts';

/** What a replica sent, for whoever listened. */
export interface Heard {
  readonly index: number;
  readonly x: Uint8Array;
}

/** What is left of a generation, wherever it lies: in guards, in copies of them, and with those who listened. */
export interface Left extends HashedBody {
  readonly subRecords: readonly SubRecord[];
  /** Of others' seeds. */
  readonly shares: readonly KeptShare[];
  /** Answers to blinded codes, and to blinded bases. */
  readonly evaluated: readonly Heard[];
  readonly released: readonly Heard[];
}

/** Of a fleet at its first epoch: all tokens with their PINs, and the right code. */
export interface Means {
  readonly tokens: ReadonlyMap<number, TokenPort>;
  readonly code: string;
}

const ATTEMPT = 1;

/**
 * The backup key, opened by the client's own functions. What may be a seed goes to each token, under a MAC that this token is made to give for it: seeds that are left;
 * what any t shares of seeds combine to, whoever's they are; and each share as it is. What was heard counts as the answer to what nobody blinded.
 */
export async function reopen({ tokens, code }: Means, left: Left): Promise<SecretBytes | undefined> {
  const { body } = left;
  const { rid, g, fleet, threshold, policy, proofKey, releaseBase } = body;
  const blinded = blind(codeInput(code, fleet, rid));
  const { point } = blinded;
  const generations = await possibleGenerations(tokens, left);

  const shares: Held<Share>[] = [];
  const unmask = async (index: number, x: Uint8Array, by: Blinded) => {
    const answer = { index, evaluated: parseCurveX(x, 'what a replica evaluated') };
    const [share] = await unmaskShares(body, [answer], { blinded: by, argon2id: quickHash, keys: new Map() });
    shares.push({ index, it: share as Share });
  };
  for (const { index, token, it } of generations) {
    const { evaluated } = await token.evaluate({ generation: it, point, attempt: ATTEMPT, limit: policy.limit, used: ATTEMPT });
    await unmask(index, evaluated, blinded);
  }
  for (const { index, x } of left.evaluated) await unmask(index, x, { ...blinded, blind: ONE() });
  const s = await firstOf(choicesOfReplicas(shares, threshold), (some) =>
    findSecret(
      body,
      some.map(({ x, y }) => ({ x, y: Uint8Array.from(y) })), // it wipes them
    ),
  );
  if (!s) return undefined;

  const ds = left.released.map(({ index, x }) => ({ index, it: x }));
  const transcript = proofTranscript({ fleet, epoch: EPOCH, rid, g }, ATTEMPT, point, releaseBase);
  const proven = { proofKey: proofKey as CompressedPoint, attempt: ATTEMPT, point, blindedBase: releaseBase as CompressedPoint };
  const proof = signWithProofKey(s.expose(), rid, g, transcript);
  for (const { index, token, it } of generations) {
    const { released } = await token.release({ generation: it, ...proven, proof });
    ds.push({ index, it: released });
  }
  const parsed = ds.map(({ index, it }) => ({ index, it: { index, d: parseCurveX(it, 'what a replica released') } }));
  return firstOf(choicesOfReplicas(parsed, threshold), (some) => openPayload(body, s, some));
}

/** Whose seeds are left, or combine from shares that are: each token knows its own, by the MAC that it once made. */
export async function seedsAmong({ tokens }: Means, left: Left): Promise<number[]> {
  const { body, bodyHash, subRecords, shares } = left;
  const seeds = await possibleSeeds(left);
  const found: number[] = [];
  for (const [index, token] of tokens) {
    const stored = [...subRecords.filter((one) => one.index === index), ...shares.filter(({ owner }) => owner === index)];
    const isKnown = await firstOf(
      stored.flatMap(({ enrolledAtMs, mac }) => seeds.map((seed) => ({ enrolledAtMs, mac, seed }))),
      (one) => isStored(token, { rid: body.rid, g: body.g, epoch: EPOCH, bodyHash, ...one }),
    );
    if (isKnown) found.push(index);
  }
  return found;
}

const EPOCH = 1;
const SEED_LENGTH = 32;
const ONE = () => new SecretBytes(new Uint8Array(32).with(31, 1));

/** Of one replica. */
interface Held<T> {
  readonly index: number;
  readonly it: T;
}

async function possibleSeeds({ body, subRecords, shares }: Left): Promise<Uint8Array[]> {
  const combined: Uint8Array[] = [];
  for (const some of choices(shares, body.threshold)) {
    if (new Set(some.map(({ share }) => share.at(-1))).size < some.length) continue; // the same x twice
    combined.push(Uint8Array.from(await combine(some.map(({ share }) => Uint8Array.from(share))))); // it takes no Buffers
  }
  return [...subRecords.map(({ seed }) => seed), ...combined, ...shares.map(({ share }) => share.slice(0, SEED_LENGTH))];
}

/** Each seed with each token, as that one would have stored it. */
async function possibleGenerations(
  tokens: Means['tokens'],
  left: Left,
): Promise<(Held<StoredGeneration> & { readonly token: TokenPort })[]> {
  const { body, bodyHash } = left;
  const { fleet, rid, g } = body;
  const seeds = await possibleSeeds(left);
  const made = [...tokens].flatMap(([index, token]) =>
    seeds.map(async (seed) => {
      const stored = { rid, g, bodyHash, seed, enrolledAtMs: 1n };
      const mac = await token.mac(subRecordTranscript({ fleet, index, ...stored }).digest);
      return { index, token, it: { ...stored, epoch: EPOCH, mac } };
    }),
  );
  return Promise.all(made);
}

async function isStored(token: TokenPort, generation: StoredGeneration): Promise<true | undefined> {
  try {
    await token.check(generation);
    return true;
  } catch (error) {
    if (isVaultError(error, 'MAC_REFUSED')) return undefined;
    throw error;
  }
}

/** Of `size` different replicas each. */
const choicesOfReplicas = <T>(all: readonly Held<T>[], size: number): T[][] =>
  choices(all, size)
    .filter((some) => new Set(some.map(({ index }) => index)).size === size)
    .map((some) => some.map(({ it }) => it));

async function firstOf<T, R>(all: readonly T[], attempt: (one: T) => Promise<R | undefined>): Promise<R | undefined> {
  for (const one of all) {
    const result = await attempt(one);
    if (result) return result;
  }
  return undefined;
}
