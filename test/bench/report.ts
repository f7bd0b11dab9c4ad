import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import Table from 'cli-table3';
import { type Figure, isMet, type Measurements } from './figures.ts';
import type { Machine } from './machine.ts';

export interface Results extends Measurements {
  readonly machine: Machine;
  /** A short run shows that the benchmark works, and its figures say little. */
  readonly quick: boolean;
  readonly figures: readonly Figure[];
}

export function tableOf({ figures }: Results): string {
  const table = new Table({
    head: ['figure', 'value', 'aim', 'met'],
    colAligns: ['left', 'right', 'right', 'left'],
    style: { head: [], border: [], compact: true },
  });
  for (const figure of figures) {
    const { name, value, unit, aim } = figure;
    const met = isMet(figure);
    table.push([name, `${round(value)} ${unit}`, aim === undefined ? '' : `≤ ${aim} ${unit}`, met === undefined ? '' : met ? 'yes' : 'no']);
  }
  return table.toString();
}

export function writeResults(file: string, results: Results): void {
  mkdirSync(dirname(file), { recursive: true });
  const figures = results.figures.map((figure) => ({ ...figure, met: isMet(figure) }));
  writeFileSync(file, `${JSON.stringify({ ...results, figures }, null, 2)}\n`);
}

/** Three digits that mean something; whole numbers stay whole. */
const round = (value: number): string => (value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2));
