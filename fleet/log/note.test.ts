import { createPublicKey, verify } from 'node:crypto';
import { ml_dsa44 } from '@noble/post-quantum/ml-dsa.js';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { utf8 } from '../../primitives/bytes.ts';
import { softKey, softMlDsaKey } from '../../test/harness/test-log.ts';
import { formatNote, parseNote } from './note.ts';
import { formatNoteKey, noteKey, parseNoteKey } from './note-key.ts';
import { cosign, cosignedAt, isSigned, signText } from './note-signature.ts';

const malformed = expect.objectContaining({ code: 'MALFORMED' });

// Key, text and signature of the reference implementation's own tests (golang.org/x/mod/sumdb/note, note_test.go).
const vkey = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW';
const text = 'If you think cryptography is the answer to your problem,\nthen you don’t know what your problem is.\n'.replace('’', "'");
const line = '— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n';
const note = utf8(`${text}\n${line}`);

describe('a note of Go’s', () => {
  const key = parseNoteKey(vkey);

  test('parses, verifies, and is written as it was read', () => {
    expect(parseNote(note).text).toBe(text);
    expect(isSigned(parseNote(note), key)).toBe(true);
    expect(formatNote(parseNote(note))).toEqual(note);
    expect(formatNoteKey(key)).toBe(vkey);
  });

  test('does not verify when a bit of its text or signature changes', () => {
    expect(isSigned(parseNote(utf8(`${text.replace('answer', 'Answer')}\n${line}`)), key)).toBe(false);
    expect(isSigned(parseNote(utf8(`${text}\n${line.replace('o/ZJ', 'o/ZK')}`)), key)).toBe(false);
  });

  test('is not trusted for a right signature beside a wrong one of the same key', () => {
    expect(isSigned(parseNote(utf8(`${text}\n${line}${line.replace('o/ZJ', 'o/ZK')}`)), key)).toBe(false);
  });

  test('may carry signatures of keys that nobody here knows', () => {
    expect(isSigned(parseNote(utf8(`${text}\n— somebody.else AAAAAAA=\n${line}`)), key)).toBe(true);
    expect(isSigned(parseNote(utf8(`${text}\n— somebody.else AAAAAAA=\n`)), key)).toBe(false);
  });

  test.each([
    ['no signature', `${text}\n`],
    ['no empty line', `${text}${line}`],
    ['no last line break', `${text}\n${line}`.slice(0, -1)],
    ['another dash', `${text}\n${line.replace('—', '-')}`],
    ['two blanks', `${text}\n${line.replace(' x08', '  x08')}`],
    ['a plus in a name', `${text}\n${line.replace('Peter', 'Peter+')}`],
    ['base64 without padding', `${text}\n${line.replace('AM=', 'AM')}`],
    ['base64 with loose bits', `${text}\n${line.replace('AM=', 'AN=')}`],
    ['a signature of four bytes', `${text}\n— PeterNeumann x08goA==\n`],
    ['a carriage return', `${text.replace('\n', '\r\n')}\n${line}`],
    ['a tab', `${text.replace(' ', '\t')}\n${line}`],
    ['a text without a line break', `text${`\n\n${line}`.slice(1)}`],
    ['101 signatures', `${text}\n${line.repeat(101)}`],
  ])('is refused with %s', (_what, wrong) => {
    expect(() => parseNote(utf8(wrong))).toThrow(malformed);
  });

  test('is refused with bytes that are not UTF-8, or with a byte order mark that is not in the text', () => {
    expect(() => parseNote(Uint8Array.of(0xff, ...note))).toThrow(malformed);
    expect(parseNote(Uint8Array.of(0xef, 0xbb, 0xbf, ...note)).text).not.toBe(text);
  });
});

test('no part of a vkey, and no other byte in it, is a vkey', () => {
  for (let from = 0; from <= vkey.length; from++)
    for (let to = from + 1; to <= vkey.length; to++)
      if (from !== 0 || to !== vkey.length) expect(() => parseNoteKey(vkey.slice(from, to))).toThrow(malformed);
  for (let i = 0; i < vkey.length; i++) {
    const other = String.fromCharCode(vkey.charCodeAt(i) + 1);
    expect(() => parseNoteKey(vkey.slice(0, i) + other + vkey.slice(i + 1))).toThrow(malformed);
  }
  // note_test.go: a key too long, and an algorithm that is none, each with the id that fits.
  expect(() => parseNoteKey('PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==')).toThrow(malformed);
  expect(() => parseNoteKey('PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW')).toThrow(malformed);
});

test.each(['', 'a b', 'a+b', 'a\u00a0b', 'a\nb', 'a\u2003b', 'a\u0085b'])('%j names no key', (name) => {
  expect(() => noteKey(name, 1, new Uint8Array(32))).toThrow(malformed);
});

const witness = softKey('witness.example/w1');
const log = softKey('log.example/a');

test('a note of ours can be read again, whatever its text and however many sign', () => {
  const texts = fc.array(fc.string({ unit: 'grapheme' }), { minLength: 1 }).map((lines) => `${lines.join('\n')}\n`);
  fc.assert(
    fc.property(texts, fc.integer({ min: 1, max: 5 }), (any, count) => {
      const signers = Array.from({ length: count }, (_, i) => softKey(`signer-${i}`));
      const made = { text: any, signatures: signers.map(({ key, sign }) => signText(any, key, sign)) };
      const read = parseNote(formatNote(made));
      expect(read).toEqual(made);
      for (const { key } of signers) expect(isSigned(read, key)).toBe(true);
      expect(isSigned(read, log.key)).toBe(false);
    }),
    { numRuns: 25 },
  );
});

describe('a cosignature', () => {
  const body = 'log.example/a\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n';
  const signature = cosign(body, witness.key, 1679315147, witness.sign);
  const cosigned = { text: body, signatures: [signText(body, log.key, log.sign), signature] };

  test('says when', () => expect(cosignedAt(parseNote(formatNote(cosigned)), witness.cosigner)).toBe(1679315147));

  test('signs what c2sp.org/tlog-cosignature says, as another implementation of Ed25519 sees it', () => {
    const key = createPublicKey({
      key: { kty: 'OKP', crv: 'Ed25519', x: Buffer.from(witness.publicKey).toString('base64url') },
      format: 'jwk',
    });
    expect(verify(null, utf8(`cosignature/v1\ntime 1679315147\n${body}`), key, signature.signature.subarray(8))).toBe(true);
    expect(signature.signature.subarray(0, 8)).toEqual(Uint8Array.of(0, 0, 0, 0, 0x64, 0x18, 0x50, 0xcb)); // the time of its example
  });

  test('is worth nothing for another time, text, key, or kind of key', () => {
    const other = signature.signature.with(7, 1);
    expect(
      cosignedAt({ ...cosigned, signatures: [{ ...signature, signature: other as typeof signature.signature }] }, witness.cosigner),
    ).toBeUndefined();
    expect(cosignedAt({ ...cosigned, text: body.replace('\n0\n', '\n1\n') }, witness.cosigner)).toBeUndefined();
    expect(cosignedAt(cosigned, log.cosigner)).toBeUndefined();
    expect(cosignedAt(cosigned, witness.key)).toBeUndefined();
    expect(isSigned(cosigned, witness.cosigner)).toBe(false);
  });
});

describe('a cosignature with ML-DSA-44', () => {
  const mlDsa = softMlDsaKey('witness.example/w2');
  const root = Uint8Array.from({ length: 32 }, (_, i) => i);
  const body = `log.example/a\n258\n${Buffer.from(root).toString('base64')}\n`;
  const signature = cosign(body, mlDsa.key, 1679315147, mlDsa.sign);
  const cosigned = { text: body, signatures: [signText(body, log.key, log.sign), signature] };
  const signed = (message: Uint8Array, time: number) => {
    const bytes = new Uint8Array(8 + 2420);
    new DataView(bytes.buffer).setBigUint64(0, BigInt(time));
    bytes.set(mlDsa.sign(message), 8);
    return { ...cosigned, signatures: [{ ...signature, signature: bytes }] };
  };
  /** The structure of the specification, byte by byte. */
  const message = Uint8Array.of(
    ...[0x73, 0x75, 0x62, 0x74, 0x72, 0x65, 0x65, 0x2f, 0x76, 0x31, 0x0a, 0x00],
    ...[18, ...utf8('witness.example/w2')],
    ...[0, 0, 0, 0, 0x64, 0x18, 0x50, 0xcb],
    ...[13, ...utf8('log.example/a')],
    ...[0, 0, 0, 0, 0, 0, 0, 0],
    ...[0, 0, 0, 0, 0, 0, 1, 2],
    ...root,
  );

  test('says when, also in a note that was written and read', () => {
    expect(cosignedAt(parseNote(formatNote(cosigned)), mlDsa.key)).toBe(1679315147);
    expect(parseNoteKey(formatNoteKey(mlDsa.key))).toEqual(mlDsa.key);
  });

  test('signs the structure of c2sp.org/tlog-cosignature', () => {
    expect(ml_dsa44.verify(signature.signature.subarray(8), message, mlDsa.publicKey)).toBe(true);
    expect(cosignedAt(signed(message, 1679315147), mlDsa.key)).toBe(1679315147);
  });

  test('leaves the extension lines to the log', () => {
    expect(cosignedAt({ ...cosigned, text: `${body}more\n` }, mlDsa.key)).toBe(1679315147);
  });

  test.each<[string, () => typeof cosigned]>([
    ['another time', () => signed(message, 1679315148)],
    ['another tree', () => ({ ...cosigned, text: body.replace('\n258\n', '\n259\n') })],
    ['another log', () => ({ ...cosigned, text: body.replace('/a\n', '/b\n') })],
    ['a text that is no checkpoint', () => ({ ...cosigned, text: 'log.example/a\n' })],
    ['an origin that has no length of a byte', () => ({ ...cosigned, text: body.replace('/a\n', `/${'a'.repeat(256)}\n`) })],
    ['the message that Ed25519 signs', () => signed(utf8(`cosignature/v1\ntime 1679315147\n${body}`), 1679315147)],
    ['a subtree that does not begin at 0', () => signed(message.with(message.length - 41, 1), 1679315147)],
    ['a byte more', () => ({ ...cosigned, signatures: [{ ...signature, signature: Uint8Array.of(...signature.signature, 0) }] })],
    ['a right one beside a wrong one', () => ({ ...cosigned, signatures: [signature, ...signed(message, 1).signatures] })],
  ])('is worth nothing for %s', (_what, make) => {
    expect(cosignedAt(make(), mlDsa.key)).toBeUndefined();
  });

  test('says no time where the time is 0', () => {
    const timeless = Uint8Array.from(message);
    timeless.fill(0, 12 + 19, 12 + 19 + 8);
    expect(ml_dsa44.verify(mlDsa.sign(timeless), timeless, mlDsa.publicKey)).toBe(true);
    expect(cosignedAt(signed(timeless, 0), mlDsa.key)).toBeUndefined();
  });

  test('is made for no name that does not fit', () => {
    const long = noteKey('w'.repeat(256), 6, mlDsa.publicKey);
    expect(() => cosign(body, long, 1, mlDsa.sign)).toThrow(malformed);
  });

  test('has a key of 1312 bytes', () => {
    for (const length of [32, 1311, 1313]) expect(() => noteKey('w', 6, new Uint8Array(length))).toThrow(malformed);
    expect(() => noteKey('w', 4, mlDsa.publicKey)).toThrow(malformed);
  });
});
