import { expect, test } from 'vitest';
import { utf8 } from '../../primitives/bytes.ts';
import { softCheckpoint, softKey } from '../../test/harness/test-log.ts';
import { formatProof, parseProof, provesEntry } from './proof.ts';
import { leafHash, makeInclusionProof } from './tree.ts';

const entries = ['first', 'second', 'third', 'fourth', 'fifth'].map(utf8);
const leaves = entries.map(leafHash);
const note = softCheckpoint(softKey('log.example/a'), leaves, 1_700_000_000_000);
const proofOf = (index: number) => formatProof({ index, hashes: makeInclusionProof(index, leaves), note });
const text = new TextDecoder().decode(proofOf(2));

test('proves the entry at its index, and no other', () => {
  for (const index of entries.keys()) {
    const proof = parseProof(proofOf(index));
    expect(entries.map((entry) => provesEntry(proof, entry))).toEqual(entries.map((_, i) => i === index));
    expect(provesEntry({ ...proof, index: (index + 1) % 5 }, entries[index] as Uint8Array)).toBe(false);
  }
});

test('reads as c2sp.org/tlog-proof says', () => {
  expect(text.split('\n')).toEqual([
    'c2sp.org/tlog-proof@v1',
    'index 2',
    expect.stringMatching(/^[\w+/]{43}=$/),
    expect.stringMatching(/^[\w+/]{43}=$/),
    expect.stringMatching(/^[\w+/]{43}=$/),
    '',
    'log.example/a',
    '5',
    expect.stringMatching(/^[\w+/]{43}=$/),
    '',
    expect.stringMatching(/^— log\.example\/a /),
    expect.stringMatching(/^— log\.example\/a /),
    '',
  ]);
});

test('a log of one entry needs no hashes', () => {
  const [entry] = entries as [Uint8Array];
  const bytes = formatProof({ index: 0, hashes: [], note: softCheckpoint(softKey('log.example/a'), leaves.slice(0, 1), 0) });
  expect(new TextDecoder().decode(bytes)).toMatch(/^c2sp.org\/tlog-proof@v1\nindex 0\n\nlog/);
  expect(provesEntry(parseProof(bytes), entry)).toBe(true);
});

test('may carry extra data, on which nothing rests', () => {
  const bytes = utf8(text.replace('index', 'extra YWdl\nindex'));
  const proof = parseProof(bytes);
  expect(proof.extra).toEqual(utf8('age'));
  expect(formatProof(proof)).toEqual(bytes);
  expect(provesEntry(proof, entries[2] as Uint8Array)).toBe(true);
  expect(parseProof(proofOf(2))).not.toHaveProperty('extra');
});

test.each([
  ['nothing', ''],
  ['another version', text.replace('@v1', '@v2')],
  ['extra data that is empty', text.replace('index', 'extra \nindex')],
  ['extra data in two lines', text.replace('index', 'extra AAAA\nextra AAAA\nindex')],
  ['extra data after the index', text.replace('index 2\n', 'index 2\nextra AAAA\n')],
  ['extra data that is not base64', text.replace('index', 'extra AAA\nindex')],
  ['extra data with loose bits', text.replace('index', 'extra AB==\nindex')],
  ['no index', text.replace('index 2\n', '')],
  ['a leading zero', text.replace('index 2', 'index 02')],
  ['a short hash', text.replace(/^[\w+/]{43}=$/m, 'AAAA')],
  ['no empty line', text.replace('\n\n', '\n')],
  ['two empty lines', text.replace('\n\n', '\n\n\n')],
  ['carriage returns', text.replaceAll('\n', '\r\n')],
  ['no signature', text.replaceAll(/— .*\n/g, '')],
])('%s is no proof', (_what, wrong) => {
  expect(() => parseProof(utf8(wrong))).toThrow(expect.objectContaining({ code: 'MALFORMED' }));
});
