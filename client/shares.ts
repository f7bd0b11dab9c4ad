import { combine, split } from 'shamir-secret-sharing';
import { type Bytes, concat } from '../primitives/bytes.ts';

/** One holder's points on the two polynomials, over the same x. */
export interface SharePair {
  /** Public, in the body. Masked, it would be an offline check on the code: a wrong code yields 0, or an x that another share has. */
  readonly x: number;
  /** Share of s, 32 bytes. */
  readonly s: Bytes;
  /** Share of R, 32 bytes. */
  readonly r: Bytes;
}

export interface Share {
  readonly x: number;
  readonly y: Uint8Array;
}

const LENGTH = 32;

/** Splits s and R t-of-m. The sharing is bytewise, so a share of s‖R is a share of s and one of R. The caller wipes them. */
export async function splitPair(s: Uint8Array, r: Uint8Array, holders: number, threshold: number): Promise<SharePair[]> {
  const both = concat(s, r);
  const shares = await split(both, holders, threshold);
  const pairs = shares.map((share) => ({
    x: share[2 * LENGTH] as number, // the library appends x
    s: share.slice(0, LENGTH) as Bytes,
    r: share.slice(LENGTH, 2 * LENGTH) as Bytes,
  }));
  for (const secret of [both, ...shares]) secret.fill(0);
  return pairs;
}

/** Shares that do not belong together combine to something else without any sign of it: whoever calls must check the result. */
export async function combineShares(shares: readonly Share[]): Promise<Bytes> {
  return (await combine(shares.map(({ x, y }) => concat(y, Uint8Array.of(x))))) as Bytes;
}
