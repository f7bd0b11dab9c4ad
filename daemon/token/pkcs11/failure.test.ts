import { describe, expect, it } from 'vitest';
import { type Meaning, meaningOf, meanings, notLoggedIn, positiveControl, refusedBy, returnValue, tokenError } from './failure.ts';

const thrown = (code: number): Error => Object.assign(new Error('CKR_VENDOR_DEFINED'), { code });

describe('what a token throws', () => {
  it.each([
    [0xa0, 'PIN_REFUSED'], // PIN_INCORRECT
    [0xa4, 'PIN_REFUSED'], // PIN_LOCKED
    [0x32, 'TOKEN_UNAVAILABLE'], // DEVICE_REMOVED
    [0xb3, 'TOKEN_UNAVAILABLE'], // SESSION_HANDLE_INVALID
    [0x101, 'TOKEN_UNAVAILABLE'], // USER_NOT_LOGGED_IN
    [0x05, 'TOKEN_FAULT'], // GENERAL_ERROR
    [0x68, 'TOKEN_FAULT'], // KEY_FUNCTION_NOT_PERMITTED
    [0x80000001, 'TOKEN_FAULT'], // a vendor's own
  ])('with CK_RV %i becomes %s', (value, code) => {
    const error = tokenError(thrown(value), 'C_Sign');
    expect(error.code).toBe(code);
    expect(error.message).toContain(`C_Sign answered CKR 0x${value.toString(16)}`);
    expect(returnValue(error)).toBe(value);
  });

  it('is understood from the message where pkcs11js gives no code', () => {
    expect(returnValue(new Error('CKR_VENDOR_DEFINED:27\n    at stack'))).toBe(27);
  });

  it('is a fault when it is no CK_RV at all', () => {
    expect(tokenError(new TypeError('argument 2'), 'C_Sign')).toMatchObject({ code: 'TOKEN_FAULT', message: 'C_Sign failed: argument 2.' });
    expect(returnValue(new TypeError('argument 2'))).toBeUndefined();
  });

  it.each([
    [0xb3, 'session'], // SESSION_HANDLE_INVALID
    [0x82, 'session'], // OBJECT_HANDLE_INVALID
    [0x101, 'login'], // USER_NOT_LOGGED_IN
    [0x32, 'gone'], // DEVICE_REMOVED
    [0xe0, 'gone'], // TOKEN_NOT_PRESENT
    [0x30, 'failing'], // DEVICE_ERROR
    [0xa4, 'pin'], // PIN_LOCKED
    [0x05, 'fault'], // GENERAL_ERROR: SoftHSM says so of a corrupted blob
    [0x06, 'fault'], // FUNCTION_FAILED
    [0x70, 'fault'], // MECHANISM_INVALID
    [0x80000001, 'fault'], // a vendor's own
  ] as const)('with CK_RV %i means %s', (value, meaning) => {
    expect(meaningOf(tokenError(thrown(value), 'C_Sign'))).toBe(meaning);
  });

  it.each([
    [0x70, 'mechanism', 'MECHANISM_INVALID'],
    [0x71, 'mechanism', 'MECHANISM_PARAM_INVALID'],
    [0x12, 'attribute', 'ATTRIBUTE_TYPE_INVALID'],
    [0x13, 'attribute', 'ATTRIBUTE_VALUE_INVALID'],
    [0xd0, 'attribute', 'TEMPLATE_INCOMPLETE'],
    [0xd1, 'attribute', 'TEMPLATE_INCONSISTENT'],
    [0x68, undefined, 'C_Sign'], // KEY_FUNCTION_NOT_PERMITTED
  ] as const)('with CK_RV %i refuses of the call: %s', (value, refused, name) => {
    const error = tokenError(thrown(value), 'C_Sign');
    expect(refusedBy(error)).toBe(refused);
    expect(error.message).toContain(name);
    expect(meaningOf(error)).toBe('fault');
  });

  it('is said in words of its own for each', () => {
    const names = Array.from(meanings.values(), ([name]) => name);
    expect(new Set(names).size).toBe(names.length);
    for (const [value, [name, meaning, reason]] of meanings) {
      expect(tokenError(thrown(value), 'C_Sign').message).toContain(`${name}): ${reason}`);
      expect(meaning).not.toBe('fault' satisfies Meaning); // what is not in the table is
    }
  });

  it('means the login where a session finds itself without', () => {
    expect(notLoggedIn('C_GetSessionInfo').code).toBe('TOKEN_UNAVAILABLE');
    expect(meaningOf(notLoggedIn('C_GetSessionInfo'))).toBe('login');
  });

  it('is no fault of one call where it fails what it has to do', () => {
    const failure = (value: number) => {
      try {
        return positiveControl(() => {
          throw tokenError(thrown(value), 'C_Sign');
        });
      } catch (error) {
        return error;
      }
    };
    expect([0x05, 0xb3, 0x101].map((value) => meaningOf(failure(value)))).toEqual(['failing', 'session', 'login']);
    expect(failure(0x05)).toMatchObject({ code: 'TOKEN_UNAVAILABLE' });
  });
});
