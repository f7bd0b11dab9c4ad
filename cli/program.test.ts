import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { version } from '../primitives/package-root.ts';
import { capture } from '../test/harness/capture.ts';
import { exitCodes } from './exit-codes.ts';
import { run } from './program.ts';

let directory: string;

beforeAll(() => {
  delete process.env.BKV_CLIENT; // the help shows it
  directory = mkdtempSync(join(tmpdir(), 'bkvctl-'));
  writeFileSync(join(directory, 'broken.json'), '{"fleet":1}');
  writeFileSync(join(directory, 'code'), '482915377\n');
  writeFileSync(join(directory, 'two-codes'), '482915377\n482915378\n');
  writeFileSync(join(directory, 'short-key'), '31 bytes of key and of no more.');
});

afterAll(() => rmSync(directory, { recursive: true }));

/** Arguments that begin with @ are files of the test's directory. */
async function bkvctl(...args: string[]) {
  const { written, streams } = capture();
  const code = await run(
    args.map((arg) => arg.replace(/^@/, `${directory}/`)),
    streams,
  );
  return { code, ...written };
}

test('--version', async () => {
  expect(await bkvctl('--version')).toEqual({ code: exitCodes.OK, stdout: `${version}\n`, stderr: '' });
});

test.each([
  '',
  'fleet',
  'fleet init',
  'fleet status',
  'enroll',
  'recover',
  'describe',
  'erase',
  'guard',
  'guard create',
  'ceremony',
  'ceremony hold',
  'ceremony key',
  'ceremony sign',
  'ceremony seal',
  'ceremony enforce',
  'ceremony complete',
  'evidence verify',
  'bundle verify',
  'bundle publish',
  'keys',
  'keys list',
  'keys rotate',
  'keys destroy',
  'hsm probe',
  'log',
  'log verify',
  'log audit',
  'log prove',
])('bkvctl %s --help', async (command) => {
  const { code, stdout, stderr } = await bkvctl(...command.split(' ').filter(Boolean), '--help');
  expect({ code, stderr }).toEqual({ code: exitCodes.OK, stderr: '' });
  expect(stdout).toMatchSnapshot();
});

describe('wrong arguments', () => {
  test.each([
    ['no command', [], 'missing'],
    ['no command of a group', ['fleet'], 'missing'],
    ['no such command', ['entrust'], 'entrust'],
    ['a missing record', ['describe'], 'record'],
    ['no key', ['enroll', 'alice', '--code-file', '@code'], '--key'],
    ['two keys', ['enroll', 'alice', '--key', 'a', '--new-key', 'b', '--code-file', '@code'], '--key'],
    ['two codes', ['enroll', 'alice', '--key', 'a', '--generate-code', '--code-file', '@code'], '--code-file'],
    ['a limit that is no number', ['enroll', 'alice', '--key', 'a', '--limit', 'many'], 'whole number'],
    ['a key that is too short', ['enroll', 'alice', '--key', '@short-key', '--code-file', '@code'], '32 random bytes'],
    ['an etcd without TLS', ['fleet', 'init', '--dir', '@f', '--etcd', 'http://localhost:2379'], 'https'],
    ['an erasure without --yes', ['erase', 'alice'], '--yes'],
    ['a file of two codes', ['recover', 'alice', '--out', '@key', '--code-file', '@two-codes'], 'one line'],
  ])('%s', async (_what, args, named) => {
    const { code, stdout, stderr } = await bkvctl(...args);
    expect({ code, stdout }).toEqual({ code: exitCodes.USAGE, stdout: '' });
    expect(stderr).toContain(named);
  });

  test('are one JSON document with --json', async () => {
    const { code, stdout, stderr } = await bkvctl('describe', '--json');
    expect({ code, stderr }).toEqual({ code: exitCodes.USAGE, stderr: '' });
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'USAGE' } });
  });
});

describe('wrong files', () => {
  test.each([
    ['no client file', ['--client', '@nowhere.json', 'describe', 'alice'], 'nowhere.json'],
    ['a client file that is none', ['--client', '@broken.json', 'describe', 'alice'], 'broken.json'],
    ['a key file that is not there', ['enroll', 'alice', '--key', '@nowhere', '--code-file', '@code'], 'nowhere'],
    ['a code file that is not there', ['recover', 'alice', '--out', '@key', '--code-file', '@nowhere'], 'nowhere'],
    ['a key file that would be overwritten', ['recover', 'alice', '--out', '@code', '--code-file', '@code'], 'nothing is overwritten'],
    ['a fleet directory that exists', ['fleet', 'init', '--dir', '@'], 'exists already'],
    ['two replicas', ['fleet', 'init', '--dir', '@f', '--replicas', '2'], '3 to 9 replicas'],
    ['a threshold below the majority', ['fleet', 'init', '--dir', '@f', '--replicas', '5', '--threshold', '2'], '3 to 5'],
    ['a configuration that is not there', ['guard', 'create', '--config', '@nowhere.yaml'], 'nowhere.yaml'],
  ])('%s', async (_what, args, named) => {
    const { code, stderr } = await bkvctl(...args);
    expect(stderr).toContain(named);
    expect(code).toBe(exitCodes.CONFIGURATION);
  });
});
