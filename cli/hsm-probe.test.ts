import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { makeBlankToken } from '../daemon/token/testing.ts';
import { profilePath } from '../primitives/package-root.ts';
import { capture } from '../test/harness/capture.ts';
import { exitCodes } from './exit-codes.ts';
import { run } from './program.ts';

const softHsm = makeBlankToken(afterAll, 'softhsm2');
const nss = makeBlankToken(afterAll, 'nss-softokn');
const pinFile = join(softHsm.directory, 'pin');
writeFileSync(pinFile, 'user-pin-1234\n');

async function probe(...args: string[]) {
  const { written, streams } = capture();
  const code = await run(['hsm', 'probe', '--pin-file', pinFile, ...args], streams);
  return { code, ...written };
}

test('SoftHSM2 is fit', async () => {
  const { code, stdout, stderr } = await probe('--profile', 'softhsm2', '--label', 'test');
  expect({ code, stderr }).toEqual({ code: exitCodes.OK, stderr: '' });
  expect(stdout).toMatch(/raw ECDH +\d+ µs +\d+ calls/);
  expect(stdout).toMatch(/ 0 accepted\n/);
  expect(stdout).toMatch(/Verdict: fit\.\n$/);
});

test('NSS softokn is fit with the risks that are named', async () => {
  const { code, stdout } = await probe('--profile', 'nss-softokn', '--label', 'test', '--directory', nss.directory);
  expect(code).toBe(exitCodes.FIT_WITH_RISKS);
  expect(stdout).toMatch(/Risks:\n(.*\n)*.*unwrapTemplate: a host with the PIN can/);
  expect(stdout).toMatch(/Verdict: fit with risks\.\n$/);
});

test('a token that is not what its profile says is not fit', async () => {
  const { code, stdout } = await probe('--profile', 'utimaco', '--module', softHsm.location.module, '--json');
  expect(code).toBe(exitCodes.NOT_FIT);
  const report = JSON.parse(stdout);
  expect(report).toMatchObject({ verdict: 'not fit', profile: 'utimaco', basis: 'documented' });
  expect(report.because).toContainEqual(expect.stringContaining('0x210b'));
});

test('without a profile one is suggested', async () => {
  const { code, stdout } = await probe('--module', softHsm.location.module, '--json');
  expect(code).toBe(exitCodes.OK);
  expect(JSON.parse(stdout)).toMatchObject({ profile: 'softhsm2', suggestion: expect.stringContaining('softhsm2') });
});

test.each([
  ['no module and no profile', [], '--module'],
  ['no such profile', ['--profile', 'nosuch'], 'nosuch'],
  ['a profile that is none', ['--profile', profilePath('../package').replace('.yaml', '.json')], 'vendor'],
  ['no such token', ['--profile', 'softhsm2', '--label', 'nosuch'], 'test (slot'],
  ['no directory for a module that wants one', ['--profile', 'nss-softokn'], '@DIRECTORY@'],
])('%s is a fault of the configuration', async (_what, args, named) => {
  const { code, stderr } = await probe(...args);
  expect(stderr).toContain(named);
  expect(code).toBe(exitCodes.CONFIGURATION);
});
