import pkcs11js from 'pkcs11js';
import { afterAll, describe, expect, it } from 'vitest';
import { makeTestToken, pin } from '../../../test/harness/test-token.ts';
import { makeKey } from '../keys/make-keys.ts';
import { openReplica } from '../keys/replica.ts';
import { CKM, plain } from './mechanisms.ts';
import type { KeyHandle } from './session.ts';

const { module, session, profile } = openReplica(makeTestToken(afterAll).location, pin());
afterAll(() => module.C_Finalize());
const make = (label: string): KeyHandle => makeKey(session, profile, 'mac', { token: false, label })[0] as KeyHandle;
const search = (label: string) => () => session.findOne({ class: pkcs11js.CKO_SECRET_KEY, label }, 'such key');
const missing = (message: string) => expect.objectContaining({ code: 'KEY_MISSING', message });

describe('finding a key', () => {
  it('tells none from many, and finishes every search', () => {
    expect(search('twin')).toThrow(missing('The token holds no such key.'));
    const first = make('twin');
    expect(search('twin')()).toEqual(first);
    make('twin');
    expect(search('twin')).toThrow(missing('The token holds more than one such key: none is used.'));
    expect(search('twin')).toThrow('more than one'); // OPERATION_ACTIVE if the search before were still open
  });
});

describe('temporary keys', () => {
  it('die with their call, also when it throws', () => {
    const attempt = () =>
      session.withTemporary((keep) => {
        keep(make('brief'));
        throw new Error('halfway');
      });
    expect(attempt).toThrow('halfway');
    expect(session.find({ label: 'brief' }, 1)).toEqual([]);
  });
});

it('verifies a signature of the wrong length as wrong, not as a fault', () => {
  const key = make('mac');
  expect(session.verify(plain(CKM.SHA256_HMAC), key, new Uint8Array(32), new Uint8Array(31), profile.wrongSignature)).toBe(false);
  expect(session.verify(plain(CKM.SHA256_HMAC), key, new Uint8Array(32), new Uint8Array(32), profile.wrongSignature)).toBe(false);
});
