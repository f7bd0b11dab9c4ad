import { expect, test } from 'vitest';
import { formatNewest, newestIn, newestOf } from './newest.ts';

const at = (day: number) => Date.UTC(2026, 0, day);
const inForce = (fleet: string, epoch: number, day: number) => ({ fleet, epoch, statement: 'ab'.repeat(32), refuseOlderFrom: at(day) });
const LINE = 'backup-key-vault/in-force/v1 west 3 2026-01-05T00:00:00Z 2';

test('the newest epoch of each fleet is named, with the one before it, which is the lowest until the time comes', () => {
  const all = [inForce('west', 1, 1), inForce('east', 4, 2), inForce('west', 2, 9), inForce('west', 3, 5)];
  expect(newestOf(all).map(formatNewest)).toEqual(['backup-key-vault/in-force/v1 east 4 2026-01-02T00:00:00Z 1', LINE]);
  expect(newestOf([])).toEqual([]);
});

test('the same epoch again brings its time forward, and the lowest stays', () => {
  const all = [inForce('west', 1, 1), inForce('west', 3, 9), inForce('west', 3, 4)];
  expect(newestOf(all)).toEqual([{ fleet: 'west', epoch: 3, refuseOlderFrom: at(4), least: 1 }]);
});

test('a line is read as it was written, and lines of other kinds are not looked at', () => {
  const newest = { fleet: 'west', epoch: 3, refuseOlderFrom: at(5), least: 2 };
  expect(newestIn(['something else', LINE, 'backup-key-vault/in-force/v10 x'], 'west')).toEqual(newest);
  expect(newestIn([LINE], 'east')).toBeUndefined();
  expect(newestIn([], 'west')).toBeUndefined();
});

test.each([
  ['another letter', LINE.replace('west', 'West')],
  ['no epoch', LINE.replace(' 3 ', ' 0 ')],
  ['a broken epoch', LINE.replace(' 3 ', ' 3.5 ')],
  ['an epoch with a zero before it', LINE.replace(' 3 ', ' 03 ')],
  ['an epoch that no number holds', LINE.replace(' 3 ', ' 9007199254740993 ')],
  ['no time', LINE.replace('2026-01-05T00:00:00Z', 'soon')],
  ['a time that is none', LINE.replace('01-05', '02-30')],
  ['a time elsewhere', LINE.replace('00Z', '00+01:00')],
  ['a time with a fraction', LINE.replace('00Z', '00.000Z')],
  ['nothing at its end', LINE.slice(0, -2)],
  ['a lowest that is above it', LINE.replace(/2$/, '4')],
  ['more', `${LINE} more`],
  ['a space at its end', `${LINE} `],
  ['two spaces', LINE.replace(' west', '  west')],
])('a line with %s is refused, whose ever it is', (_what, line) => {
  const refused = expect.objectContaining({ code: 'FLEET_UNTRUSTED', details: { check: 'checkpoint-malformed' } });
  expect(() => newestIn([line], 'east')).toThrow(refused);
  expect(() => newestIn([line], 'west')).toThrow(refused);
});

test('two lines of one fleet are refused', () => {
  const refused = expect.objectContaining({ details: { check: 'checkpoint-malformed' } });
  expect(() => newestIn([LINE, LINE.replace(' 3 ', ' 4 ')], 'west')).toThrow(refused);
});
