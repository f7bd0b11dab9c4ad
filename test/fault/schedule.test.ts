import { describe, expect, it } from 'vitest';
import { schedule } from './schedule.ts';

const plan = (seed: number, seconds = 250) => schedule({ seed, length: seconds * 1000, replicas: 3, etcdMembers: 3 });

describe('the plan of a run', () => {
  it('is the same for the same seed, and another for another', () => {
    expect(plan(7)).toEqual(plan(7));
    expect(plan(8)).not.toEqual(plan(7));
  });

  it.each([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])(
    'has every kind of fault, 200 of them or more, and all of them heal in time (seed %i)',
    (seed) => {
      const faults = plan(seed);
      expect(faults.length).toBeGreaterThanOrEqual(200);
      expect(new Set(faults.map(({ kind }) => kind)).size).toBe(12);
      for (const fault of faults) expect(fault.at + fault.for).toBeLessThan(250_000);
    },
  );

  it('leaves a fault that shall be measured alone', () => {
    const faults = plan(1);
    for (const fault of faults.filter(({ alone }) => alone))
      for (const other of faults)
        if (other !== fault) expect(other.at + other.for <= fault.at || other.at >= fault.at + fault.for).toBe(true);
  });
});
