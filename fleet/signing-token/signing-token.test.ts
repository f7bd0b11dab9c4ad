import { createPublicKey, verify } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { initToken } from '../../daemon/token/keys/init-token.ts';
import { modulePath } from '../../daemon/token/profile.ts';
import { makeSoftHsmDirectory } from '../../daemon/token/softhsm-directory.ts';
import { utf8 } from '../../primitives/bytes.ts';
import { packageRoot } from '../../primitives/package-root.ts';
import { SecretBytes } from '../../primitives/secret-bytes.ts';
import { pin, softHsmProfile, soPin } from '../../test/harness/test-token.ts';
import { SigningToken } from './signing-token.ts';

const profile = softHsmProfile();
const options = { profile, label: 'party', pin: pin() };
let directory: string;
let token: SigningToken;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'bkv-signing-'));
  process.env.SOFTHSM2_CONF = makeSoftHsmDirectory(directory, join(packageRoot, 'softhsm/softhsm2.conf'));
  initToken({ module: modulePath(profile), profile, label: 'party', soPin: soPin(), pin: pin() });
  token = new SigningToken(options);
});

afterAll(() => {
  token.close();
  rmSync(directory, { recursive: true });
});

const base64url = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64url');
const message = utf8('what was agreed');

test('a P-256 key signs what others verify', () => {
  const { publicKey, sign } = token.make('p256', 'bundle');
  const key = createPublicKey({
    key: { kty: 'EC', crv: 'P-256', x: base64url(publicKey.slice(1, 33)), y: base64url(publicKey.slice(33)) },
    format: 'jwk',
  });
  expect(verify('sha256', message, { key, dsaEncoding: 'ieee-p1363' }, sign(message))).toBe(true);
  expect(verify('sha256', utf8('another'), { key, dsaEncoding: 'ieee-p1363' }, sign(message))).toBe(false);
});

test('an Ed25519 key signs what others verify', () => {
  const { publicKey, sign } = token.make('ed25519', 'log');
  const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: base64url(publicKey) }, format: 'jwk' });
  expect(verify(null, message, key, sign(message))).toBe(true);
  expect(verify(null, utf8('another'), key, sign(message))).toBe(false);
});

test('a key is found again by name and kind, and made once', () => {
  const made = token.make('ed25519', 'once');
  expect(token.signer('ed25519', 'once').publicKey).toEqual(made.publicKey);
  expect(() => token.make('ed25519', 'once')).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
  expect(() => token.make('p256', 'once')).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
  expect(() => token.signer('p256', 'once')).toThrow(expect.objectContaining({ code: 'KEY_MISSING' }));
});

test('the keys outlive the process that made them', () => {
  const { publicKey } = token.make('p256', 'kept');
  token.close();
  token = new SigningToken(options);
  expect(token.signer('p256', 'kept').publicKey).toEqual(publicKey);
});

test('a wrong PIN opens nothing', () => {
  token.close();
  expect(() => new SigningToken({ ...options, pin: new SecretBytes(utf8('wrong-pin')) })).toThrow(
    expect.objectContaining({ code: 'PIN_REFUSED' }),
  );
  token = new SigningToken(options);
});
