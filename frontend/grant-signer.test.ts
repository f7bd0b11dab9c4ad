import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { compactVerify } from 'jose';
import { expect, test } from 'vitest';
import { toHex } from '../primitives/bytes.ts';
import { GRANT_TYPE, type Grant, grantClaims } from '../protocol/grant.ts';
import { accountTranscript } from '../protocol/transcripts.ts';
import { GrantSigner } from './grant-signer.ts';

const toPem = ({ privateKey, publicKey }: { privateKey: KeyObject; publicKey: KeyObject }) => ({
  privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
  publicKey: publicKey.export({ type: 'spki', format: 'pem' }) as string,
});
const ec = (namedCurve: string) => toPem(generateKeyPairSync('ec', { namedCurve }));
const ed25519 = () => toPem(generateKeyPairSync('ed25519'));
const now = Date.UTC(2026, 0, 1, 12);
const clock = { now: () => now, monotonic: () => 0, sleep: async () => {} };

const grant: Grant = {
  fleet: 'test-fleet',
  tenant: 'acme',
  operation: 'begin-recovery',
  recordId: 'account-1',
  g: new Uint8Array(16).fill(1),
  authorises: new Uint8Array(32).fill(2),
};

test.each([
  { alg: 'ES256', keys: ec('P-256') },
  { alg: 'EdDSA', keys: ed25519() },
])('a grant is a JWS by $alg that says what it allows, and until when', async ({ alg, keys }) => {
  const jws = await new GrantSigner({ pem: keys.privateKey, kid: '2026-1', clock }).sign(grant);
  const { payload, protectedHeader } = await compactVerify(jws, createPublicKey(keys.publicKey));
  expect(protectedHeader).toEqual({ alg, kid: '2026-1', typ: GRANT_TYPE });
  expect(grantClaims.parse(JSON.parse(new TextDecoder().decode(payload)))).toEqual({
    fleet: 'test-fleet',
    tenant: 'acme',
    operation: 'begin-recovery',
    account: toHex(accountTranscript('test-fleet', 'acme', 'account-1').digest),
    g: '01'.repeat(16),
    authorises: '02'.repeat(32),
    iat: now / 1000,
    exp: now / 1000 + 300,
  });
});

test.each([
  ['of another kind', toPem(generateKeyPairSync('rsa', { modulusLength: 2048 })).privateKey],
  ['of another curve', ec('secp256k1').privateKey],
  ['that is a public one', ed25519().publicKey],
  ['that is none', 'nothing'],
])('a key %s is CONFIG_INVALID', (_, pem) => {
  expect(() => new GrantSigner({ pem, kid: '1' })).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
});
