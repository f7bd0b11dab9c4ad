import { expect, test } from 'vitest';
import { exitCodes } from '../cli/exit-codes.ts';
import { version } from '../primitives/package-root.ts';
import { capture } from '../test/harness/capture.ts';
import { run } from './program.ts';

async function witness(...args: string[]) {
  const { written, streams } = capture();
  return { code: await run(args, streams), ...written };
}

test('--version', async () => {
  expect(await witness('--version')).toEqual({ code: exitCodes.OK, stdout: `${version}\n`, stderr: '' });
});

test.each(['', 'init', 'submit', 'enforce', 'refresh', 'follow', 'serve'])('bkv-witness %s --help', async (command) => {
  const { code, stdout, stderr } = await witness(...command.split(' ').filter(Boolean), '--help');
  expect({ code, stderr }).toEqual({ code: exitCodes.OK, stderr: '' });
  expect(stdout).toMatchSnapshot();
});

test.each([
  ['no directory', ['refresh'], '--dir'],
  ['no evidence', ['--dir', 'd', 'submit', '--out', 'o', '--statement', 'ab'.repeat(32)], 'evidence'],
  ['no hash from the room', ['--dir', 'd', 'submit', 'e', '--out', 'o'], '--statement'],
  ['no name', ['--dir', 'd', 'init', '--token-label', 't', '--pin-file', 'p'], '--name'],
  ['an address that is none', ['--dir', 'd', 'serve', '--listen', '8080'], 'host:port'],
])('wrong arguments: %s', async (_what, args, named) => {
  const { code, stdout, stderr } = await witness(...args);
  expect({ code, stdout }).toEqual({ code: exitCodes.USAGE, stdout: '' });
  expect(stderr).toMatch(/^bkv-witness: /);
  expect(stderr).toContain(named);
});
