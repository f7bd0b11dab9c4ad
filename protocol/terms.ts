import { z } from 'zod';
import { VaultError } from '../primitives/errors.ts';
import { MAX_INDEX, MAX_REPLICAS } from './body.ts';

export const index = z.int().min(1).max(MAX_INDEX);
export const point = z.string().regex(/^0[23][0-9a-f]{64}$/);
const epoch = z.int().min(1);
const MAX_EARLIER = 32;

/** What a statement says of an earlier epoch whose records the fleet still serves. */
const earlierEpoch = z.strictObject({
  epoch,
  threshold: z.int().min(2),
  replicas: z
    .array(z.strictObject({ index, receipt_key: point }))
    .min(3)
    .max(MAX_REPLICAS),
});

export const earlierEpochs = z.array(earlierEpoch).max(MAX_EARLIER);

export type EarlierEpoch = z.infer<typeof earlierEpoch>;

/** What a statement's document says of its epochs: its own, and those before. */
export interface Epochs extends EarlierEpoch {
  readonly earlier: readonly EarlierEpoch[];
}

/** What holds for all that was enrolled under one epoch, as the statement in force has it: neither the body nor a replica is asked. */
export interface Terms {
  readonly epoch: number;
  /** t */
  readonly threshold: number;
  /** Of all n replicas of that epoch, those that left the fleet as well. */
  readonly indices: ReadonlySet<number>;
  /** Those that are in the fleet today, with the receipt key of then: nobody else holds what was enrolled then, and nobody else's word counts for it. */
  readonly remaining: ReadonlySet<number>;
}

/** Where a rule is broken: `check` is a code of fleet/verify/check-codes.ts. */
interface Broken {
  readonly why: string;
  readonly check: string;
}

/** The terms of every epoch of a statement, or the rule that it breaks. */
export function readTerms(epochs: Epochs): ReadonlyMap<number, Terms> | Broken {
  const all = [...epochs.earlier, epochs];
  return brokenRule(all) ?? new Map(all.map((one) => [one.epoch, termsIn(one, epochs)]));
}

function termsIn({ epoch, threshold, replicas }: EarlierEpoch, present: EarlierEpoch): Terms {
  const remaining = replicas.filter((then) =>
    present.replicas.some((now) => now.index === then.index && now.receipt_key === then.receipt_key),
  );
  return { epoch, threshold, indices: indicesOf(replicas), remaining: indicesOf(remaining) };
}

const indicesOf = (replicas: EarlierEpoch['replicas']): ReadonlySet<number> => new Set(replicas.map((replica) => replica.index));

/** In order of epoch, the present one last. */
function brokenRule(all: readonly EarlierEpoch[]): Broken | undefined {
  const present = all.at(-1) as EarlierEpoch;
  if (all.some((one, i) => one.epoch <= (all[i - 1]?.epoch ?? 0))) return malformed('earlier epochs must be in ascending order, each once');
  for (const one of all) {
    const { threshold, replicas } = one;
    const n = replicas.length;
    if (replicas.some((replica, i) => replica.index <= (replicas[i - 1]?.index ?? 0)))
      return malformed('replicas must be in ascending order of index, each once');
    const of = one === present ? '' : ` in epoch ${one.epoch}`;
    if (threshold <= n / 2) return { why: `threshold ${threshold} of ${n}${of} is not a majority`, check: 'threshold-not-majority' };
    if (threshold === n) return { why: `threshold ${threshold} of ${n}${of} is all of them`, check: 'threshold-of-all' };
    if (threshold > n) return malformed(`threshold ${threshold} of ${n}${of} cannot be`);
    const { remaining } = termsIn(one, present);
    if (remaining.size < threshold)
      return { why: `of epoch ${one.epoch} ${remaining.size} replicas remain, and ${threshold} are needed`, check: 'epoch-unservable' };
  }
  return brokenIdentity(all);
}

/** An index is one replica's for ever. A new token gives it another receipt key, which no other replica ever has. */
function brokenIdentity(all: readonly EarlierEpoch[]): Broken | undefined {
  const owners = new Map<string, number>();
  const left = new Set<number>();
  let before: ReadonlySet<number> = new Set();
  for (const { epoch, replicas } of all) {
    for (const { index, receipt_key } of replicas) {
      const x = receipt_key.slice(2); // the keys of V and −V are as good as one
      if ((owners.get(x) ?? index) !== index) return { why: 'two replicas have the same receipt key', check: 'duplicate-key' };
      owners.set(x, index);
      if (left.has(index)) return { why: `index ${index} left the fleet, and is there again in epoch ${epoch}`, check: 'index-reused' };
    }
    const now = indicesOf(replicas);
    for (const index of before) if (!now.has(index)) left.add(index);
    before = now;
  }
  return undefined;
}

const malformed = (why: string): Broken => ({ why, check: 'statement-malformed' });

/** A statement, as far as this file needs to know it. */
interface Stated {
  readonly epoch: number;
  readonly terms: ReadonlyMap<number, Terms>;
}

/** The terms of what was enrolled under an epoch. Throws GENERATION_UNKNOWN where that is served no more, or not yet. */
export function termsOf({ terms, epoch: present }: Stated, epoch: bigint): Terms {
  const found = terms.get(Number(epoch));
  if (found) return found;
  throw new VaultError(
    'GENERATION_UNKNOWN',
    `This generation is of epoch ${epoch}, of which nothing is served under epoch ${present} of the fleet; it must be erased or replaced.`,
  );
}

/** n−t+1: of so many replicas of the epoch, any t of them have one among them. */
export const meeting = ({ indices, threshold }: Terms): number => indices.size - threshold + 1;

/**
 * The least t of all epochs: fewer replicas than that may be hostile, so of so many that sign a thing one tells the truth, whatever the thing
 * is of.
 */
export const leastThreshold = ({ terms }: Pick<Stated, 'terms'>): number =>
  Math.min(...[...terms.values()].map(({ threshold }) => threshold));

/**
 * Whether those who answered have one of any t of every epoch among them: nothing that was acknowledged is unknown to all of them. Where fewer
 * than that can be asked, because one of them lost its guard, all of these. `from`: of the epochs before it nothing matters.
 */
export const meetsEveryEpoch = ({ terms }: Pick<Stated, 'terms'>, answered: Some, asked: Some, from = 0n): boolean =>
  [...terms.values()].every((of) => {
    if (of.epoch < from) return true;
    const among = (some: Some) => [...of.remaining].filter((one) => some.has(one)).length;
    return among(answered) >= Math.min(meeting(of), among(asked));
  });

type Some = Pick<ReadonlySet<number>, 'has'>;

/**
 * What it means that these replicas say that they destroyed a generation, of whatever epoch it was. Where n−t+1 did, fewer than t serve it, and fewer than t shares of any
 * other seed are left. With t−1 more that still holds if t−1 of them lie: then nobody opens it, whoever has all tokens. A replica that left, or has another token now, says nothing of what
 * it held under an epoch.
 */
export type Destruction = 'too few' | 'not served, if none of these lies' | 'destroyed';

export function destructionBy({ terms }: Pick<Stated, 'terms'>, erased: Some): Destruction {
  const beyond = [...terms.values()].map((of) => ({ of, more: [...of.remaining].filter((one) => erased.has(one)).length - meeting(of) }));
  if (beyond.some(({ more }) => more < 0)) return 'too few';
  return beyond.every(({ of, more }) => more >= of.threshold - 1) ? 'destroyed' : 'not served, if none of these lies';
}

/** What the statement after this one lists: this one's own epoch, and what it listed, without those of which nothing is served any more. */
export const earlierAfter = ({ epoch, threshold, replicas, earlier }: Epochs, dropped: readonly number[]): EarlierEpoch[] =>
  [...earlier, { epoch, threshold, replicas: replicas.map((one) => ({ index: one.index, receipt_key: one.receipt_key })) }].filter(
    (one) => !dropped.includes(one.epoch),
  );
