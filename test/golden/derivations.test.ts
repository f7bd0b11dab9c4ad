import { hkdfSync } from 'node:crypto';
import { p256 } from '@noble/curves/nist.js';
import { argon2id } from '@noble/hashes/argon2.js';
import { expect, test } from 'vitest';
import { normaliseCode } from '../../client/code.ts';
import { authKey, maskKey, ownerKey, payloadKey, proofOf, rehearsalTag } from '../../client/derive.ts';
import { blind, finalize, parseCurvePoint } from '../../client/oprf.ts';
import { seal } from '../../client/seal.ts';
import { sessionKey } from '../../client/session.ts';
import { stretch, wasmArgon2id } from '../../client/stretch.ts';
import { type Bytes, fromHex, toHex } from '../../primitives/bytes.ts';
import { SecretBytes } from '../../primitives/secret-bytes.ts';
import { parsePoint } from '../../protocol/point.ts';
import type { Replica } from '../../protocol/statement.ts';
import { maskTranscript, proofTranscript, replaceTranscript, stretchTranscript } from '../../protocol/transcripts.ts';
import { bytesFor } from './arguments.ts';

const rid = bytesFor('rid');
const g = bytesFor('g', 16);
const fleet = 'golden-fleet';
const name = { fleet, epoch: 7, rid, g };
const [s, r, y] = [bytesFor('s'), bytesFor('R'), bytesFor('y')];
const owner = ownerKey(new SecretBytes(bytesFor('backup key')), rid);

const keyPair = (seed: string) => p256.keygen(bytesFor(seed, 48));

function session(suite: 'A' | 'B'): Promise<Bytes> {
  const sessionPublicKey = parsePoint(keyPair('replica').publicKey, 'S');
  const replica: Replica = {
    index: 2,
    name: 'r',
    sessionKey: sessionPublicKey,
    sessionSuite: suite,
    receiptKey: sessionPublicKey,
    guardIncarnation: 1,
  };
  const client = keyPair('client');
  const ephemeral = { secretKey: new SecretBytes(client.secretKey), publicKey: parsePoint(client.publicKey, 'E') };
  const binding = {
    ...name,
    statementHash: bytesFor('statement'),
    attempt: 3,
    point: keyPair('P').publicKey,
    bodyHash: bytesFor('body_hash'),
  };
  return sessionKey(replica, ephemeral, { ...binding, purpose: 'recover-release' });
}

test('the bytes of every derivation are frozen', async () => {
  const secrets = {
    stretch: (await stretch('123-456 789', fleet, rid, wasmArgon2id)).expose(),
    mask: maskKey(y, rid, g, 2),
    auth: authKey(s, rid, g, 2),
    proof: proofOf(authKey(s, rid, g, 2), proofTranscript({ ...name, index: 2 }, 3, keyPair('P').publicKey, keyPair('client').publicKey)),
    payload: payloadKey(s, r, rid, g),
    rehearsal: rehearsalTag(new SecretBytes(bytesFor('backup key')), new SecretBytes(bytesFor('stretched')), rid),
    ownerPublicKey: owner.publicKey,
    ownerSignature: owner.sign(replaceTranscript(name, bytesFor('previous', 16), bytesFor('body_hash'))),
    sessionSuiteA: await session('A'),
    sessionSuiteB: await session('B'),
    sealed: await seal(await session('A'), s),
  };
  const golden = Object.fromEntries(Object.entries(secrets).map(([what, bytes]) => [what, toHex(bytes)]));
  await expect(`${JSON.stringify(golden, undefined, 2)}\n`).toMatchFileSnapshot('derivations.json');
});

test('another implementation of HKDF agrees', () => {
  const other = hkdfSync('sha256', y, new Uint8Array(0), maskTranscript(rid, g, 2).digest, 32);
  expect(maskKey(y, rid, g, 2)).toEqual(new Uint8Array(other));
});

test('another implementation of Argon2id agrees', async () => {
  const other = argon2id('123456789', stretchTranscript(fleet, rid).digest, { m: 64 * 1024, t: 3, p: 1, dkLen: 32 });
  expect((await stretch('123456789', fleet, rid, wasmArgon2id)).expose()).toEqual(other);
});

// RFC 9497 §A.3.1: OPRF(P-256, SHA-256), mode OPRF.
test.each([
  {
    input: '00',
    blinded: '03723a1e5c09b8b9c18d1dcbca29e8007e95f14f4732d9346d490ffc195110368d',
    evaluated: '030de02ffec47a1fd53efcdd1c6faf5bdc270912b8749e783c7ca75bb412958832',
    output: 'a0b34de5fa4c5b6da07e72af73cc507cceeb48981b97b7285fc375345fe495dd',
  },
  {
    input: '5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a',
    blinded: '03cc1df781f1c2240a64d1c297b3f3d16262ef5d4cf102734882675c26231b0838',
    evaluated: '03a0395fe3828f2476ffcd1f4fe540e5a8489322d398be3c4e5a869db7fcb7c52c',
    output: 'c748ca6dd327f0ce85f4ae3a8cd6d4d5390bbb804c9e12dcf94f853fece3dcce',
  },
])('the OPRF is that of RFC 9497, for $input', ({ input, blinded, evaluated, output }) => {
  const scalar = 0x3338fa65ec36e0290022b48eb562889d89dbfa691d1cde91517fa222ed7ad364n;
  // FIPS 186-5 §A.2.1 as noble does it: 48 bytes modulo n − 1, plus 1.
  const ours = blind(new SecretBytes(fromHex(input, 'input')), () => fromHex((scalar - 1n).toString(16).padStart(96, '0'), 'random'));
  expect(toHex(ours.point)).toBe(blinded);
  expect(toHex(finalize(ours, parseCurvePoint(fromHex(evaluated, 'Z'), 'Z')))).toBe(output);
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
