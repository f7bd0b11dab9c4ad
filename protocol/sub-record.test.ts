import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { concat } from '../primitives/bytes.ts';
import { SubRecordSchema } from '../proto/gen/backupvault/v1/record_pb.ts';
import { bytesFor } from '../test/golden/arguments.ts';
import { parseSubRecord, renderSubRecord } from './sub-record.ts';

const [seed, mac, signature] = [bytesFor('seed'), bytesFor('MAC'), new Uint8Array(64).fill(9)];
const malformed = expect.objectContaining({ code: 'MALFORMED' });

test('a sub-record is seed, time in milliseconds and MAC, 72 bytes', () => {
  const { index, value } = renderSubRecord({ index: 2, seed, enrolledAtMs: 0x0102030405060708n, mac, signature });
  expect(index).toBe(2);
  expect(value).toEqual(concat(seed, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8), mac));
});

test('what was rendered is parsed to the same, also out of a larger buffer', () => {
  const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 });
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 9 }),
      bytes32,
      fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      bytes32,
      (index, s, enrolledAtMs, m) => {
        const subRecord = { index, seed: Uint8Array.from(s), enrolledAtMs, mac: Uint8Array.from(m), signature };
        const stored = Buffer.from(toBinary(SubRecordSchema, renderSubRecord(subRecord)));
        const parsed = parseSubRecord(fromBinary(SubRecordSchema, stored));
        expect({
          ...parsed,
          seed: Uint8Array.from(parsed.seed),
          mac: Uint8Array.from(parsed.mac),
          signature: Uint8Array.from(parsed.signature),
        }).toEqual(subRecord);
      },
    ),
  );
});

describe('is refused', () => {
  const value = new Uint8Array(72);
  test.each<[string, { index?: number; value?: Uint8Array; signature?: Uint8Array }]>([
    ['with 71 bytes', { value: value.slice(1) }],
    ['with 73 bytes', { value: new Uint8Array(73) }],
    ['with none', { value: new Uint8Array(0) }],
    ['of no replica', { index: 0 }],
    ['of a replica that no fleet has', { index: 100 }],
    ['with a signature of 63 bytes', { signature: signature.slice(1) }],
    ['without a signature', { signature: new Uint8Array(0) }],
  ])('%s', (_, fields) => {
    expect(() => parseSubRecord(create(SubRecordSchema, { index: 1, value, signature, ...fields }))).toThrow(malformed);
  });
  test('where it is missing', () => {
    expect(() => parseSubRecord(undefined)).toThrow(malformed);
  });
  test('with a field that this version does not know', () => {
    const stored = concat(toBinary(SubRecordSchema, create(SubRecordSchema, { index: 1, value, signature })), Uint8Array.of(0x78, 1)); // field 15
    expect(() => parseSubRecord(fromBinary(SubRecordSchema, stored))).toThrow(malformed);
  });
});
