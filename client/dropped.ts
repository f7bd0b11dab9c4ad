import { VaultError } from '../primitives/errors.ts';
import type { Body } from '../protocol/body.ts';
import type { Statement } from '../protocol/statement.ts';
import { meeting } from '../protocol/terms.ts';

/** What is replaced is over once fewer than t of those that may hold it are left: so many of them must have dropped it. */
export interface Dropping {
  readonly holders: ReadonlySet<number>;
  readonly least: number;
}

/** What is replaced, as far as the client knows it: its body only where replicas vouched for it. */
interface Replaced {
  readonly body?: Body;
}

/**
 * By whom it must be signed that they serve another generation now, and none before it. With another n or t, any t that enrol need not be
 * those: 3 of 5 leave 2 of 3. What is replaced shows its own epoch, and was perhaps never acknowledged: then what came before it still has t that serve it, of
 * an epoch before. Where no body is known there may be one of any epoch that is served, also where there seems to be none: what a coordinator says of it,
 * or etcd, is no help.
 */
export function droppings({ terms }: Pick<Statement, 'terms'>, replaced: Replaced | undefined): readonly Dropping[] {
  const body = replaced?.body;
  const epochs = [...terms.values()].filter(({ epoch }) => !body || epoch < body.epoch);
  const ofEpochs = epochs.map((of) => ({ holders: of.indices, least: meeting(of) }));
  if (!body) return ofEpochs;
  const { shares, threshold } = body;
  return [...ofEpochs, { holders: new Set(shares.map(({ index }) => index)), least: shares.length - threshold + 1 }];
}

/** Whether these are enough. */
export const isDropped = (droppings: readonly Dropping[], by: readonly number[]): boolean =>
  droppings.every(({ holders, least }) => by.filter((index) => holders.has(index)).length >= least);

/** An enrolment that could never be acknowledged is not begun. Throws NOT_ENOUGH_REPLICAS. */
export function expectCanDrop(droppings: readonly Dropping[], offered: readonly number[]): void {
  if (isDropped(droppings, offered)) return;
  throw new VaultError('NOT_ENOUGH_REPLICAS', 'Too few of the replicas that may hold what is replaced are here to drop it.', {
    details: { replicasAnswered: offered.length },
  });
}
