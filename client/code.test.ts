import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { normaliseCode } from './code.ts';
import { checkCode, checkNewCode } from './code-check.ts';
import { generateCode, hasRightCheckDigits } from './code-generator.ts';
import { weaknessOf } from './weak-code.ts';

const rejected = expect.objectContaining({ code: 'CODE_REJECTED' });

describe('the normal form', () => {
  test('is its own normal form', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (code) => normaliseCode(normaliseCode(code)) === normaliseCode(code)));
  });

  test('of digits does not depend on how they were grouped', () => {
    const separators = fc.constantFrom('', ' ', '-', '.', '\u2011', '\u00a0', '\u202f', '\t');
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(9), separators), { minLength: 1 }), (parts) => {
        const typed = parts.map(([digit, separator]) => `${digit}${separator}`).join('');
        return normaliseCode(typed) === parts.map(([digit]) => digit).join('');
      }),
    );
  });

  test('of anything else keeps every character', () => {
    expect(normaliseCode(' 12a-34 ')).toBe('12a-34');
  });
});

describe('a generated code', () => {
  const codes = Array.from({ length: 200 }, generateCode);

  test('is six groups of three digits, and none is like another', () => {
    for (const code of codes) expect(code).toMatch(/^\d{3}( \d{3}){5}$/);
    expect(new Set(codes).size).toBe(codes.length);
  });

  test('is accepted', () => {
    for (const code of codes) expect(() => checkNewCode(code)).not.toThrow();
  });

  test('with one wrong digit, or two neighbours swapped, is a typing error', () => {
    for (const code of codes.slice(0, 20).map(normaliseCode))
      for (let i = 0; i < code.length; i++) {
        for (let by = 1; by < 10; by++) {
          const wrong = (Number(code[i]) + by) % 10;
          expect(() => checkCode(code.slice(0, i) + wrong + code.slice(i + 1))).toThrow(rejected);
        }
        const swapped = code.slice(0, i) + (code[i + 1] ?? '') + code[i] + code.slice(i + 2);
        if (swapped !== code) expect(() => checkCode(swapped)).toThrow(rejected);
      }
  });

  // The IBAN of ISO 13616's example, GB82 WEST 1234 5698 7654 32, as digits: its check digits come out of the same arithmetic.
  test('has check digits by the arithmetic of an IBAN', () => {
    expect(hasRightCheckDigits('3214282912345698765432161182')).toBe(true);
    expect(hasRightCheckDigits('3214282912345698765432161183')).toBe(false);
  });
});

describe('a new code', () => {
  test.each([
    '12345',
    '111111',
    '121212',
    '112211',
    '123456',
    '654321',
    '135791',
    '890123',
    '112233',
    '111234',
    '123123',
    '12341234',
    '123321',
    '250786', // 25 July 1986
    '072586',
    '860725',
    '25071986',
    '07251986',
    '19860725',
    'short',
    'aaaabbbb',
    'abcabcabc',
    'abcdefgh',
    'QWERTYUIOP',
    'Password123!',
    '',
    ' - ',
  ])('%j is too weak', (code) => {
    expect(() => checkNewCode(code)).toThrow(rejected);
  });

  test.each(['493817', '704295', '31415926', 'correct horse battery staple', 'ñandú-47-río', '密码安全恢复词句'])(
    '%j may be chosen',
    (code) => {
      expect(() => checkNewCode(code)).not.toThrow();
    },
  );

  test('of six digits drawn at random is seldom refused', () => {
    const drawn = Array.from({ length: 100_000 }, (_, i) => String(i * 10 + 7).padStart(6, '0')); // every tenth
    const share = drawn.filter(weaknessOf).length / drawn.length;
    expect(share).toBeLessThan(0.12); // dates are most of them
  });

  test('is never repeated by the refusal', () => {
    for (const code of ['123456', '482915', '111 222 333 444 555 666'])
      try {
        checkNewCode(code);
      } catch (error) {
        expect(String(error)).not.toContain(normaliseCode(code));
      }
  });
});

test('a weak code is no typing error: a record may have one from before', () => {
  expect(() => checkCode('123456')).not.toThrow();
});
