import Table from 'cli-table3';
import type { Ratio } from './ratios.ts';

/** Ratios by id, as they were when somebody said that they were good. */
export type Recorded = Readonly<Record<string, number>>;

/** Worse than what was recorded by more than this part of it is a regression. */
const TOLERANCE = 0.2;

export interface Comparison extends Ratio {
  readonly recorded: number;
  /** No worse than this. */
  readonly allowed: number;
  readonly isRegression: boolean;
}

/** Throws for a ratio that is recorded or measured, but not both: a check that leaves one out would not fail. */
export function compare(recorded: Recorded, measured: readonly Ratio[]): Comparison[] {
  const missing = Object.keys(recorded).filter((id) => !measured.some((ratio) => ratio.id === id));
  if (missing.length > 0) throw new Error(`recorded, but not measured: ${missing.join(', ')}`);
  return measured.map((ratio) => compareOne(recorded[ratio.id], ratio));
}

export function compareOne(recorded: number | undefined, ratio: Ratio): Comparison {
  if (recorded === undefined) throw new Error(`measured, but not recorded: ${ratio.id}; make bench-record`);
  const { value, better, most } = ratio;
  const allowed = most ?? recorded * (better === 'higher' ? 1 - TOLERANCE : 1 + TOLERANCE);
  const isGood = better === 'higher' ? value >= allowed : value <= allowed; // false for NaN
  return { ...ratio, recorded, allowed, isRegression: !isGood };
}

/** Of two measurements of the same. */
export const betterOf = (a: Ratio, b: Ratio): Ratio => ((a.better === 'higher') === a.value > b.value ? a : b);

export function comparisonTable(comparisons: readonly Comparison[]): string {
  const table = new Table({
    head: ['ratio', 'recorded', 'measured', 'allowed', ''],
    colAligns: ['left', 'right', 'right', 'right', 'left'],
    style: { head: [], border: [], compact: true },
  });
  for (const { name, recorded, value, allowed, better, isRegression } of comparisons) {
    const bound = `${better === 'higher' ? '≥' : '≤'} ${allowed.toFixed(2)}`;
    table.push([name, recorded.toFixed(2), value.toFixed(2), bound, isRegression ? 'REGRESSION' : 'ok']);
  }
  return table.toString();
}
