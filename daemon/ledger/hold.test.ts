import { describe, expect, it } from 'vitest';
import type { Hold } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { HoldState } from '../../proto/gen/backupvault/v1/vault_pb.ts';
import { type Decision, decide, decisionIn, decodeHold, encodeHold, endOf, letGo, prove, stateOf } from './hold.ts';

const LENGTH = 1000;
const NOW = 5_000_000;
const base = (n: number) => new Uint8Array(33).fill(n);
const proof = { attempt: 1, blindedBase: base(1) };
const word = (isVeto: boolean, n = 1): Decision => ({
  ...{ attempt: 1, isVeto, signature: new Uint8Array(64).fill(n), blindedBase: isVeto ? new Uint8Array(0) : base(1) },
});
const code = (run: () => unknown) => {
  try {
    run();
  } catch (error) {
    return (error as { code: string }).code;
  }
  return 'no error';
};
const begun = prove(undefined, proof, LENGTH, NOW).next as Hold;
const decided = (hold: Hold | undefined, isVeto: boolean) => decide(hold, word(isVeto)) as Hold;

describe('a proof', () => {
  it('begins the hold, and is kept back until that is over', () => {
    expect(prove(undefined, proof, LENGTH, NOW)).toMatchObject({ until: NOW + LENGTH, next: { attempt: 1, released: false } });
    expect(prove(begun, proof, LENGTH, NOW + LENGTH - 1)).toEqual({ until: NOW + LENGTH, next: undefined });
    expect(prove(begun, proof, LENGTH, NOW + LENGTH)).toEqual({ until: 0, next: undefined });
    const released = letGo(begun) as Hold;
    expect(prove(released, proof, LENGTH, NOW)).toEqual({ until: undefined, next: undefined }); // once released, released
    expect(letGo(released)).toBeUndefined();
  });

  it('fixes the base of the point, also once it was released, and not its number, which may yet be another', () => {
    expect(code(() => prove(begun, { ...proof, blindedBase: base(2) }, LENGTH, NOW + LENGTH))).toBe('PROOF_CONFLICT');
    expect(code(() => prove(letGo(begun), { ...proof, blindedBase: base(2) }, LENGTH, NOW))).toBe('PROOF_CONFLICT');
    expect(prove(begun, { ...proof, attempt: 2 }, LENGTH, NOW + 1)).toEqual({ until: NOW + LENGTH, next: undefined });
  });

  it('from the time to come is of a clock that was wrong: the hold begins anew', () => {
    const ahead = prove(undefined, proof, LENGTH, NOW + 1_000_000).next as Hold;
    const again = prove(ahead, proof, LENGTH, NOW);
    expect(again).toMatchObject({ until: NOW + LENGTH, next: { released: false } });
    expect(prove(again.next, proof, LENGTH, NOW + LENGTH).until).toBe(0);
    expect(prove(letGo(ahead), proof, LENGTH, NOW).next).toBeUndefined();
  });
});

describe('the owner’s word', () => {
  it('lets it go at once', () => {
    const approved = decided(begun, false);
    expect(stateOf(approved)).toBe(HoldState.APPROVED);
    expect(prove(approved, proof, LENGTH, NOW)).toEqual({ until: 0, next: undefined });
  });

  it('is for one base: it fixes that where nothing was proved, and lets no other one go', () => {
    expect(code(() => decide(begun, { ...word(false), blindedBase: base(2) }))).toBe('PROOF_CONFLICT');
    expect(code(() => prove(decided(undefined, false), { ...proof, blindedBase: base(2) }, LENGTH, NOW))).toBe('PROOF_CONFLICT');
    expect(decide(begun, word(true))?.blindedBase).toEqual(base(1));
  });

  it('ends it for good, also after an approval and when it is over', () => {
    for (const before of [begun, decided(begun, false)]) {
      const vetoed = decided(before, true);
      expect(stateOf(vetoed)).toBe(HoldState.VETOED);
      expect(code(() => prove(vetoed, proof, LENGTH, NOW + LENGTH))).toBe('VETOED');
      expect(code(() => letGo(vetoed))).toBe('VETOED');
      expect(code(() => decide(vetoed, word(false)))).toBe('VETOED');
      expect(decide(vetoed, word(true, 2))).toBeUndefined();
    }
  });

  it('counts where it comes before the proof, whatever base that has', () => {
    expect(code(() => prove(decided(undefined, true), proof, LENGTH, NOW))).toBe('VETOED');
    expect(prove(decided(undefined, false), proof, LENGTH, NOW).until).toBe(0);
    expect(endOf(decided(undefined, true), LENGTH)).toBe(0);
  });

  it('is told on with the number that it was signed for, a veto before an approval', () => {
    expect(decisionIn(begun)).toBeUndefined();
    expect(decisionIn(decided(begun, false))).toEqual(word(false));
    expect(decisionIn(decided(decided(begun, false), true))).toEqual(word(true));
    expect(decisionIn(decide(begun, { ...word(true), attempt: 2 }) as Hold)).toEqual({ ...word(true), attempt: 2 });
    expect(decisionIn(prove(decided(undefined, false), { ...proof, attempt: 2 }, LENGTH, NOW).next as Hold)).toEqual(word(false));
  });
});

it('is stored and read again as it is', () => {
  const hold = decided(decided(begun, false), true);
  expect(decodeHold(encodeHold(hold))).toMatchObject({ ...hold });
});
