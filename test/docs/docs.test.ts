import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { status } from '@grpc/grpc-js';
import { describe, expect, it, test } from 'vitest';
import { statusOf } from '../../daemon/rpc/status.ts';
import { type ErrorCode, errorCodes } from '../../primitives/errors.ts';
import { packageRoot } from '../../primitives/package-root.ts';

// What the documents say of the code is held against the code.

const read = (path: string): string => readFileSync(join(packageRoot, path), 'utf8');
const pages = [
  ...readdirSync(packageRoot),
  ...readdirSync(join(packageRoot, 'docs'), { recursive: true }).map((name) => join('docs', String(name))),
].filter((name) => name.endsWith('.md'));

test('docs/PROTOCOL.md lists every error with its status and meaning', () => {
  const rows = (Object.entries(errorCodes) as [ErrorCode, string][]).map(
    ([code, meaning]) => `| \`${code}\` | ${status[statusOf[code]]} | ${meaning} |`,
  );
  const table = ['| code | gRPC status | meaning: what to do |', '|---|---|---|', ...rows].join('\n');
  const [, shown] = /<!-- errors:begin -->\n([\s\S]*)\n<!-- errors:end -->/.exec(read('docs/PROTOCOL.md')) ?? [];
  expect(shown).toBe(table);
});

test('docs/PROTOCOL.md lists every transcript', () => {
  const labels = [...read('protocol/transcripts.ts').matchAll(/new Transcript\(\s*'([a-z-]+)'/g)].map(([, label]) => label as string);
  expect(labels.length).toBeGreaterThan(20);
  const section = read('docs/PROTOCOL.md').split('## 3. ')[0] ?? '';
  for (const label of labels) expect(section, label).toContain(`\`${label}\``);
});

describe.each(pages)('%s', (page) => {
  const text = read(page);

  it('links to what is there', () => {
    for (const [, target] of text.matchAll(/\]\(([^)#\s]+)\)/g)) {
      if (/^https?:/.test(target as string)) continue;
      expect(existsSync(join(packageRoot, dirname(page), target as string)), target).toBe(true);
    }
  });

  it('names tests that are there', () => {
    for (const [, test] of text.matchAll(/`([\w./-]+\.test\.ts)`/g))
      if (test?.includes('/')) expect(existsSync(join(packageRoot, test)), test).toBe(true);
  });

  it('names targets that the Makefile has', () => {
    const makefile = read('Makefile');
    for (const [, target] of text.matchAll(/`make ([a-z-]+)/g)) expect(makefile, `make ${target}`).toMatch(new RegExp(`^${target}:`, 'm'));
  });
});
