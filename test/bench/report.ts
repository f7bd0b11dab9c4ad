import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import Table from 'cli-table3';
import type { ComparedStep } from './comparison.ts';
import { type Figure, isMet, type Measurements } from './figures.ts';
import type { Machine } from './machine.ts';

export interface Results extends Measurements {
  readonly machine: Machine;
  /** A short run shows that the benchmark works, and its figures say little. */
  readonly quick: boolean;
  readonly figures: readonly Figure[];
}

export function tableOf({ figures }: Results): string {
  const table = tableWith(['figure', 'value', 'aim', 'met'], ['left', 'right', 'right', 'left']);
  for (const figure of figures) {
    const { name, value, unit, aim } = figure;
    const met = isMet(figure);
    table.push([name, `${round(value)} ${unit}`, aim === undefined ? '' : `≤ ${aim} ${unit}`, met === undefined ? '' : met ? 'yes' : 'no']);
  }
  return table.toString();
}

/** One replica's: keys that are wrapped for each record, as they were, against tweaks. */
export function landedTable(steps: readonly ComparedStep[]): string {
  const head = ['CPU and calls into the module, one replica', 'wrapped keys', 'calls', 'tweaks', 'calls', 'CPU', 'aim'];
  const table = tableWith(head, ['left', 'right', 'right', 'right', 'right', 'right', 'right']);
  for (const { name, landed, now, ratio, aim } of steps) {
    const costs = [landed, now].flatMap(({ cpu, calls }) => [`${round(cpu)} µs`, calls]);
    table.push([name, ...costs, `${ratio.toFixed(3)} ×`, aim === undefined ? '' : `≤ ${aim} ×`]);
  }
  return table.toString();
}

const tableWith = (head: string[], colAligns: ('left' | 'right')[]) =>
  new Table({ head, colAligns, style: { head: [], border: [], compact: true } });

export function writeResults(file: string, results: Results): void {
  mkdirSync(dirname(file), { recursive: true });
  const figures = results.figures.map((figure) => ({ ...figure, met: isMet(figure) }));
  writeFileSync(file, `${JSON.stringify({ ...results, figures }, null, 2)}\n`);
}

/** Three digits that mean something; whole numbers stay whole. */
const round = (value: number): string => (value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2));
