import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { packageRoot } from '../../primitives/package-root.ts';
import { diskRatios, type Ratio } from './ratios.ts';
import { betterOf, compare, comparisonTable, type Recorded } from './regressions.ts';

const rate = (value: number): Ratio => ({ id: 'rate', name: 'a rate', value, better: 'higher' });
const cost = (value: number): Ratio => ({ id: 'cost', name: 'a cost', value, better: 'lower' });
const growth = (value: number): Ratio => ({ id: 'growth', name: 'growth', value, better: 'lower', most: 5 });
const recorded = { rate: 0.9, cost: 7.3, growth: 0.1 };
const regressions = (...ratios: Ratio[]) =>
  compare(recorded, ratios)
    .filter(({ isRegression }) => isRegression)
    .map(({ id }) => id);

describe('a ratio against the recorded one', () => {
  it.each([
    ['as recorded', rate(0.9), cost(7.3), growth(0.1), []],
    ['better than recorded', rate(1.5), cost(2), growth(-3), []],
    ['worse by less than a fifth', rate(0.73), cost(8.7), growth(4.9), []],
    ['a rate that fell by more', rate(0.71), cost(7.3), growth(0.1), ['rate']],
    ['a cost that rose by more', rate(0.9), cost(8.8), growth(0.1), ['cost']],
    ['growth beyond its bound', rate(0.9), cost(7.3), growth(5.1), ['growth']],
    ['all of them', rate(0.1), cost(70), growth(50), ['rate', 'cost', 'growth']],
    ['what is no number', rate(Number.NaN), cost(Number.NaN), growth(Number.NaN), ['rate', 'cost', 'growth']],
  ])('%s', (_, a, b, c, expected) => expect(regressions(a, b, c)).toEqual(expected));

  it('is neither forgotten nor made up', () => {
    expect(() => regressions(rate(0.9), cost(7.3))).toThrow('growth');
    expect(() => regressions(rate(0.9), cost(7.3), growth(0), { ...rate(1), id: 'new' })).toThrow('new');
  });

  it('is printed with what is allowed', () => {
    const table = comparisonTable(compare(recorded, [rate(0.7), cost(7), growth(0)]));
    expect(table).toMatch(/a rate .*0\.90.*0\.70.*≥ 0\.72.*REGRESSION/);
    expect(table).toMatch(/a cost .*7\.30.*7\.00.*≤ 8\.76.*ok/);
  });
});

it.each([
  ['as recorded', 244, 1509, []],
  ['worse by more than a fifth, below the bound', 449, 1509, []],
  ['beyond the bound', 451, 1509, ['etcd.file']],
  ['a guard that keeps a fifth more', 244, 1812, ['guard.bytes']],
])('bytes on disks: %s', (_, etcdFileBytesPerRecord, guardBytesPerRecord, expected) => {
  const { ratios } = JSON.parse(readFileSync(join(packageRoot, 'test/bench/recorded.json'), 'utf8')) as { ratios: Recorded };
  const those = Object.fromEntries(Object.entries(ratios).filter(([id]) => ['etcd.file', 'guard.bytes'].includes(id)));
  const measured = diskRatios({ records: 20_000, replicas: 3, etcdFileBytesPerRecord, guardBytesPerRecord });
  const worse = compare(those, measured).filter(({ isRegression }) => isRegression);
  expect(worse.map(({ id }) => id)).toEqual(expected);
});

it('the better of two measurements is the higher rate, and the lower cost', () => {
  for (const [good, bad] of [
    [rate(0.9), rate(0.8)],
    [cost(7), cost(8)],
  ] as const) {
    expect(betterOf(good, bad)).toBe(good);
    expect(betterOf(bad, good)).toBe(good);
  }
});
