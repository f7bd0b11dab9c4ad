import { describe, expect, test } from 'vitest';
import { toHex } from '../../primitives/bytes.ts';
import type { Transcript } from '../../protocol/transcript.ts';
import * as transcripts from '../../protocol/transcripts.ts';
import { flips } from '../harness/flips.ts';
import { goldenArguments } from './arguments.ts';

type Name = keyof typeof transcripts;
const functions = { ...transcripts } as unknown as Record<Name, (...args: readonly unknown[]) => Transcript>;
const names = Object.keys(functions) as Name[];
const call = (name: Name, args: readonly unknown[]) => functions[name](...args);

// A difference here is another protocol: clients and replicas of before and after do not understand each other. After a change that
// is meant, `npx vitest run test/golden -u` writes the file anew.
test('the bytes of every transcript are frozen', async () => {
  const golden = Object.fromEntries(
    names.map((name) => {
      const { preimage, digest } = call(name, goldenArguments[name]);
      return [name, { preimage: toHex(preimage), digest: toHex(digest) }];
    }),
  );
  await expect(`${JSON.stringify(golden, undefined, 2)}\n`).toMatchFileSnapshot('transcripts.json');
});

test('no two labels are the same', () => {
  const label = (name: Name) => {
    const { preimage } = call(name, goldenArguments[name]);
    return new TextDecoder().decode(preimage.slice(4, 4 + (preimage[3] as number)));
  };
  expect(new Set(names.map(label)).size).toBe(names.length);
});

/** What a transcript leaves out of its arguments, and why. */
const unbound: { [N in Name]?: RegExp } = {
  payloadDataTranscript: /^0\.payload /, // it is what the payload is bound to
};

describe('every argument is bound', () => {
  test.each(names)('by %s', (name) => {
    const { preimage } = call(name, goldenArguments[name]);
    const changed = [...flips<readonly unknown[]>(goldenArguments[name])].filter(({ path }) => path !== ' without last');
    expect(changed.length).toBeGreaterThan(0);
    for (const { path, value } of changed) {
      const isBound = toHex(call(name, value).preimage) !== toHex(preimage);
      expect(isBound, path).toBe(!unbound[name]?.test(path));
    }
  });
});
