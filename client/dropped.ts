import { VaultError } from '../primitives/errors.ts';
import type { Statement } from '../protocol/statement.ts';
import { meeting } from '../protocol/terms.ts';

/** What is replaced is over once fewer than t of those that may hold it are left: so many of them must have dropped it. */
export interface Dropping {
  readonly holders: ReadonlySet<number>;
  readonly least: number;
}

/**
 * By whom it must be signed that they serve another generation now, and none before it: n−t+1 of every epoch that is served. With another n or t, any t
 * that enrol need not be those: 3 of 5 leave 2 of 3. What a device knows of the record is no help: what it recovered was perhaps never acknowledged, and
 * then what came before is still served; or another device replaced it in the meantime, and an etcd that lies hides that.
 */
export const droppings = ({ terms }: Pick<Statement, 'terms'>): readonly Dropping[] =>
  [...terms.values()].map((of) => ({ holders: of.indices, least: meeting(of) }));

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
