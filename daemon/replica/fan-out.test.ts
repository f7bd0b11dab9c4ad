import { describe, expect, it } from 'vitest';
import { type Clock, systemClock } from '../../primitives/clock.ts';
import { type ErrorCode, VaultError } from '../../primitives/errors.ts';
import { askAll, askEnough, expectEnough } from './fan-out.ts';
import type { Participant } from './participant.ts';

const three = [1, 2, 3].map((index) => ({ index }) as Participant);
const never = new Promise<never>(() => {});
const fail = (code: ErrorCode) => Promise.reject(new VaultError(code, code));

const ask = (behaviour: Record<number, () => Promise<string>>, clock: Clock = systemClock) =>
  askAll(three, ({ index }) => (behaviour[index] as () => Promise<string>)(), { enough: 2, grace: 20, clock });

/** On which no time passes. */
const still: Clock = { ...systemClock, sleep: () => never };

const codeOf = async (behaviour: Record<number, () => Promise<string>>) => {
  try {
    return expectEnough(await ask(behaviour), 2, 3);
  } catch (error) {
    return (error as VaultError).code;
  }
};

const ok = async () => 'ok';

describe('asking every replica', () => {
  it('does not wait for one that is stopped, beyond the grace', async () => {
    const { answers, failures } = await ask({ 1: ok, 2: ok, 3: () => never });
    expect([...answers.keys()]).toEqual([1, 2]);
    expect(failures.size).toBe(0);
  });

  it('takes what comes within the grace', async () => {
    const late = () => systemClock.sleep(5).then(() => 'late');
    expect((await ask({ 1: ok, 2: ok, 3: late }, still)).answers.size).toBe(3);
  });

  it('returns at once when all have answered or failed', async () => {
    const { answers, failures } = await ask({ 1: ok, 2: ok, 3: () => fail('BUSY') }, still);
    expect([answers.size, failures.size]).toEqual([2, 1]);
  });

  it('waits for such answers as are enough, where it matters whose they are', async () => {
    const late = () => systemClock.sleep(5).then(() => 'late');
    const enough = (answered: ReadonlyMap<number, unknown>) => answered.has(3);
    const asking = { enough, grace: 0, clock: systemClock };
    const askThem = (behaviour: Record<number, () => Promise<string>>) =>
      askEnough(three, ({ index }) => (behaviour[index] as () => Promise<string>)(), asking);
    expect(await askThem({ 1: ok, 2: ok, 3: late })).toEqual(['ok', 'ok', 'late']);
    await expect(askThem({ 1: ok, 2: ok, 3: () => fail('BUSY') })).rejects.toMatchObject({ code: 'NOT_ENOUGH_REPLICAS' });
    await expect(askThem({ 1: ok, 2: ok, 3: () => fail('MALFORMED') })).rejects.toMatchObject({ code: 'MALFORMED' });
  });
});

describe('having enough answers', () => {
  it('says NOT_ENOUGH_REPLICAS while another try could still succeed', async () => {
    expect(await codeOf({ 1: ok, 2: () => fail('OUTCOME_UNKNOWN'), 3: () => fail('GENERATION_UNKNOWN') })).toBe('NOT_ENOUGH_REPLICAS');
  });

  it('gives the reason of those who refused once no try can succeed', async () => {
    expect(await codeOf({ 1: ok, 2: () => fail('EXHAUSTED'), 3: () => fail('EXHAUSTED') })).toBe('EXHAUSTED');
    expect(await codeOf({ 1: () => fail('GRANT_REFUSED'), 2: () => fail('EXHAUSTED'), 3: () => fail('EXHAUSTED') })).toBe('EXHAUSTED');
  });

  it('says NOT_ENOUGH_REPLICAS where replicas refuse for reasons of their own', async () => {
    expect(await codeOf({ 1: ok, 2: () => fail('GENERATION_UNKNOWN'), 3: () => fail('GRANT_EXPIRED') })).toBe('NOT_ENOUGH_REPLICAS');
  });

  it('needs no more than t', async () => {
    expect(await codeOf({ 1: ok, 2: ok, 3: () => fail('GRANT_REFUSED') })).toEqual(['ok', 'ok']);
  });
});
