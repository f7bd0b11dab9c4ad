import { createECDH, createHash, createHmac, createPublicKey, hkdfSync, verify } from 'node:crypto';
import { argon2id } from '@noble/hashes/argon2.js';
import { expect, test } from 'vitest';
import { normaliseCode } from '../../client/code.ts';
import { codeInput, ownerKey, payloadKey, proofKey, rehearsalTag, releaseMaskKey, signWithProofKey } from '../../client/derive.ts';
import { maskKey, memoryFor, wasmArgon2id } from '../../client/stretch.ts';
import { toHex } from '../../primitives/bytes.ts';
import { SecretBytes } from '../../primitives/secret-bytes.ts';
import { firstScalar, ORDER, tweakFrom } from '../../protocol/scalar.ts';
import {
  codeTranscript,
  maskTranscript,
  proofKeyTranscript,
  proofTranscript,
  releaseMaskTranscript,
  replaceTranscript,
} from '../../protocol/transcripts.ts';
import { bytesFor } from './arguments.ts';

const rid = bytesFor('rid');
const g = bytesFor('g', 16);
const fleet = 'golden-fleet';
const name = { fleet, epoch: 7, rid, g };
const [s, r, y, d] = [bytesFor('s'), bytesFor('R'), bytesFor('y'), bytesFor('D')];
const backupKey = new SecretBytes(bytesFor('backup key'));
const owner = ownerKey(backupKey, rid);
const proof = proofTranscript(name, 3, bytesFor('P', 33), bytesFor('B', 33));

// After a change that is meant, `npx vitest run test/golden -u` writes the file anew.
test('the bytes of every derivation are frozen', async () => {
  const secrets = {
    code: codeInput('123-456 789', fleet, rid).expose(),
    maskOf3: await maskKey(y, { rid, g, index: 2, holders: 3 }, wasmArgon2id),
    maskOf9: await maskKey(y, { rid, g, index: 2, holders: 9 }, wasmArgon2id),
    releaseMask: releaseMaskKey(d, rid, g, 2),
    payload: payloadKey(s, r, rid, g),
    rehearsal: rehearsalTag(backupKey, new SecretBytes(bytesFor('input')), rid),
    ownerPublicKey: owner.publicKey,
    ownerSignature: owner.sign(replaceTranscript(name, bytesFor('previous', 16), bytesFor('body_hash'))),
    proofKey: proofKey(s, rid, g),
    proofSignature: signWithProofKey(s, rid, g, proof),
    tweak: tweakFrom(bytesFor('HMAC')),
    scalarOfSecondBlock: firstScalar([ORDER.slice(), bytesFor('second block')]),
  };
  const golden = Object.fromEntries(Object.entries(secrets).map(([what, bytes]) => [what, toHex(bytes)]));
  await expect(`${JSON.stringify(golden, undefined, 2)}\n`).toMatchFileSnapshot('derivations.json');
});

test('another implementation of HKDF agrees', () => {
  const other = (secret: Uint8Array, info: Uint8Array) => toHex(new Uint8Array(hkdfSync('sha256', secret, new Uint8Array(0), info, 32)));
  expect(toHex(releaseMaskKey(d, rid, g, 2))).toBe(other(d, releaseMaskTranscript(rid, g, 2).digest));
});

test('what a stretch costs, in KiB of memory for each holder, is frozen', () => {
  const table = Object.fromEntries([2, 3, 4, 5, 6, 7, 8, 9].map((holders) => [holders, memoryFor(holders)]));
  expect(table).toEqual({ 2: 65536, 3: 65536, 4: 49152, 5: 39321, 6: 32768, 7: 28086, 8: 24576, 9: 21845 });
});

test('the input of the OPRF is the code in its normal form, for one record', () => {
  const code = codeTranscript(fleet, rid, Buffer.from('123456789'));
  const input = createHash('sha256').update(code.preimage).digest();
  expect(toHex(codeInput(' 123-456 789\n', fleet, rid).expose())).toBe(toHex(input));
});

test('another implementation of Argon2id agrees', async () => {
  for (const holders of [3, 4, 9]) {
    const other = argon2id(y, maskTranscript(rid, g, 2).digest, { m: memoryFor(holders), t: 1, p: 1, dkLen: 32 });
    expect(toHex(await maskKey(y, { rid, g, index: 2, holders }, wasmArgon2id))).toBe(toHex(other));
  }
});

/** T(1) of HKDF-Expand, which is a scalar in each case here. */
const firstBlock = (prk: Uint8Array, info: Uint8Array) => createHmac('sha256', prk).update(info).update(Uint8Array.of(1)).digest();

test('another implementation of HMAC and of the curve agrees on tweaks and the proof key', () => {
  expect(toHex(tweakFrom(bytesFor('HMAC')))).toBe(toHex(firstBlock(bytesFor('HMAC'), Buffer.from('bkv/v1/scalar'))));
  const curve = createECDH('prime256v1');
  curve.setPrivateKey(firstBlock(s, proofKeyTranscript(rid, g).digest));
  expect(toHex(proofKey(s, rid, g))).toBe(curve.getPublicKey('hex', 'compressed'));
  const [x, y] = [curve.getPublicKey().subarray(1, 33), curve.getPublicKey().subarray(33)].map((part) => part.toString('base64url'));
  const key = createPublicKey({ format: 'jwk', key: { kty: 'EC', crv: 'P-256', x: x as string, y: y as string } });
  expect(verify('sha256', proof.preimage, { key, dsaEncoding: 'ieee-p1363' }, signWithProofKey(s, rid, g, proof))).toBe(true);
});

test('the normal form of a code is frozen', async () => {
  const codes = [
    ' 123-456 789\n',
    '123456789',
    '１２３４５６',
    '١٢٣٤٥٦',
    '۱۲۳۴۵۶',
    '12.34.56',
    '\u200e123\u2011456',
    'Straße 12',
    'ﬁne café',
    'cafe\u0301',
    '-',
    '',
  ];
  const normal = Object.fromEntries(codes.map((code) => [code, normaliseCode(code)]));
  await expect(`${JSON.stringify(normal, undefined, 2)}\n`).toMatchFileSnapshot('codes.json');
});
