import type { Body } from '../protocol/body.ts';

/** How many attempts of a record were used, by what its holders signed. */
export interface Used {
  /** At least so many: up to t−1 liars cannot raise it. */
  readonly attempts: number;
  /** What fewer than t holders say, where it is more: true, or a lie. */
  readonly unconfirmed: number | undefined;
  /** Not every holder answered: those that did not may have counted more. */
  readonly isLowerBound: boolean;
}

interface Counts {
  /** k */
  readonly attempt: number;
  readonly body: Body;
  /** Of each holder that answered: |H_i|, as its receipt has it. */
  readonly valid: readonly { readonly used: number }[];
}

/** Of holders at most t−1 lie, so the t-th largest of what they say is no more than one says that does not. */
export function usedOf({ attempt, body, valid }: Counts): Used {
  const said = valid.map(({ used }) => used).sort((a, b) => b - a);
  const attempts = Math.max(attempt, said[body.threshold - 1] ?? 0);
  const most = said[0] ?? 0;
  return { attempts, unconfirmed: most > attempts ? most : undefined, isLowerBound: valid.length < body.shares.length };
}
