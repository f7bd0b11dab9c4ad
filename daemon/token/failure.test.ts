import { describe, expect, it } from 'vitest';
import { returnValue, tokenError } from './failure.ts';

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
});
