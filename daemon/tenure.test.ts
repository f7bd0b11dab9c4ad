import { describe, expect, it } from 'vitest';
import type { Bytes } from '../primitives/bytes.ts';
import type { Clock } from '../primitives/clock.ts';
import type { VaultError } from '../primitives/errors.ts';
import { type BootRecordPlace, Tenure } from './tenure.ts';

class Place implements BootRecordPlace {
  record = new Uint8Array(32) as Bytes;
  readBootRecord = async () => this.record;
  writeBootRecord = async (record: Uint8Array) => {
    this.record = new Uint8Array(record);
  };
}

const clockThat = (sleep: () => Promise<void> = async () => {}): Clock => ({ now: () => 0, monotonic: () => 0, sleep });

const begin = (token: Place, guard: Place, incarnation = 1, clock = clockThat()) =>
  Tenure.begin(token, guard, incarnation, clock).then(
    () => 'begun',
    (error: VaultError) => error.code,
  );

const copyOf = (place: Place) => Object.assign(new Place(), { record: place.record });

describe('a replica begins to serve', () => {
  it('with a new guard on a new token, and again after every stop', async () => {
    const [token, guard] = [new Place(), new Place()];
    expect(await begin(token, guard)).toBe('begun');
    expect(await begin(token, guard)).toBe('begun');
  });

  it('after a crash between the guard’s record and the token’s', async () => {
    const [token, guard] = [new Place(), new Place()];
    await begin(token, guard);
    const before = copyOf(token);
    await begin(token, guard);
    token.record = before.record;
    expect(await begin(token, guard)).toBe('begun');
  });

  it('not with a guard that was put back', async () => {
    const [token, guard] = [new Place(), new Place()];
    await begin(token, guard);
    const backup = copyOf(guard);
    await begin(token, guard);
    expect(await begin(token, backup)).toBe('GUARD_MISMATCH');
  });

  it('not with a new guard in the place of a lost one, unless the statement says so', async () => {
    const [token, guard] = [new Place(), new Place()];
    await begin(token, guard);
    expect(await begin(token, new Place())).toBe('GUARD_MISMATCH');
    expect(await begin(token, new Place(), 2)).toBe('begun');
    expect(await begin(token, guard, 2)).toBe('GUARD_MISMATCH');
  });
});

describe('two daemons on one token', () => {
  it('that start at once: the first to write gives way', async () => {
    const [token, guard] = [new Place(), new Place()];
    const other = copyOf(guard);
    const race = clockThat(async () => {
      if (other.record.every((byte) => byte === 0)) await token.writeBootRecord(new Uint8Array(32).fill(9));
    });
    expect(await begin(token, guard, 1, race)).toBe('GUARD_MISMATCH');
  });

  it('one after the other: the first notices', async () => {
    const [token, guard] = [new Place(), new Place()];
    const first = await Tenure.begin(token, guard, 1, clockThat());
    await first.expectOurs();
    await begin(token, copyOf(guard));
    await expect(first.expectOurs()).rejects.toMatchObject({ code: 'GUARD_MISMATCH' });
  });
});
