import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatCheckpoint, parseCheckpoint } from './checkpoint.ts';
import { leafHash, type TreeHash } from './tree.ts';

// The example of c2sp.org/tlog-checkpoint.
const example = 'example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n';

test('the specification’s example', () => {
  const checkpoint = parseCheckpoint(example);
  expect(checkpoint).toMatchObject({ origin: 'example.com/behind-the-sofa', size: 20852163, extensions: [] });
  expect(checkpoint.root).toHaveLength(32);
  expect(parseCheckpoint(`${example}one\nand more\n`).extensions).toEqual(['one', 'and more']);
});

test.each([
  ['nothing', ''],
  ['two lines', 'example.com/log\n1\n'],
  ['no origin', example.replace('example.com/behind-the-sofa', '')],
  ['a leading zero', example.replace('2085', '02085')],
  ['a sign', example.replace('2085', '+2085')],
  ['a size beyond what numbers hold', example.replace('20852163', '9007199254740993')],
  ['a hexadecimal size', example.replace('20852163', '0x10')],
  ['a size in Arabic-Indic digits', example.replace('20852163', '٢')],
  ['a short root', example.replace('CsUYapGG', '')],
  ['a root without padding', example.replace('q2I=', 'q2I')],
  ['no last line break', example.slice(0, -1)],
  ['an empty line', `${example}\n`],
  ['an empty line among others', `${example}one\n\ntwo\n`],
])('%s is no checkpoint', (_what, text) => {
  expect(() => parseCheckpoint(text)).toThrow(expect.objectContaining({ code: 'MALFORMED' }));
});

test('what is written is read', () => {
  const line = fc.string({ unit: 'grapheme', minLength: 1 });
  fc.assert(
    fc.property(line, fc.maxSafeNat(), fc.uint8Array(), fc.array(line, { maxLength: 3 }), (origin, size, seed, extensions) => {
      const checkpoint = { origin, size, root: leafHash(seed) as TreeHash, extensions };
      expect(parseCheckpoint(formatCheckpoint(checkpoint))).toEqual(checkpoint);
    }),
  );
});
