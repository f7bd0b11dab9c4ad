import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { profilePath } from '../primitives/package-root.ts';
import { capture } from '../test/harness/capture.ts';
import { makeBlankToken, PIN } from '../test/harness/test-token.ts';
import { exitCodes } from './exit-codes.ts';
import { run } from './program.ts';

const softHsm = makeBlankToken(afterAll, 'softhsm2');
const nss = makeBlankToken(afterAll, 'nss-softokn');
const pinFile = join(softHsm.directory, 'pin');
writeFileSync(pinFile, `${PIN}\n`);

async function probe(...args: string[]) {
  const { written, streams } = capture();
  const code = await run(['hsm', 'probe', '--pin-file', pinFile, ...args], streams);
  return { code, ...written };
}

test('SoftHSM2 is fit', async () => {
  const { code, stdout } = await probe('--profile', 'softhsm2', '--label', 'test');
  expect(code).toBe(exitCodes.OK);
  expect(stdout).toMatch(/raw ECDH +\d+ µs +\d+ calls/);
  expect(stdout).toMatch(/serve with token objects +works/);
  expect(stdout).toMatch(/ 0 accepted\n/);
  expect(stdout).toMatch(/To know:\n.*every copy of those files/);
  expect(stdout).toMatch(/Verdict: fit\.\n$/);
});

test('NSS softokn is fit with the risks that are named', async () => {
  const { code, stdout } = await probe('--profile', 'nss-softokn', '--label', 'test', '--directory', nss.directory);
  expect(code).toBe(exitCodes.FIT_WITH_RISKS);
  expect(stdout).toMatch(/Risks:\n(.*\n)*.*extractable: a host with the PIN can/);
  expect(stdout).toMatch(/Verdict: fit with risks\.\n$/);
});

test('a token that is not what its profile says is not fit', async () => {
  const { code, stdout } = await probe('--profile', 'entrust-nshield', '--module', softHsm.location.module, '--json');
  expect(code).toBe(exitCodes.NOT_FIT);
  const report = JSON.parse(stdout);
  expect(report).toMatchObject({ verdict: 'not fit', profile: 'entrust-nshield', basis: 'from-documentation' });
  expect(report.because).toContainEqual(expect.stringContaining('0xde436997'));
});

test('without a profile one is suggested, and a module that dies under another is passed over', async () => {
  const { code, stdout } = await probe('--module', softHsm.location.module, '--json');
  expect(code).toBe(exitCodes.OK);
  expect(JSON.parse(stdout)).toMatchObject({ profile: 'softhsm2', suggestion: expect.stringContaining('softhsm2') });
});

test.each([['0x10000000000000000'], ['18446744073709551616'], ['-1'], ['one']])('%s is no slot', async (slot) => {
  const { code, stderr } = await probe('--profile', 'softhsm2', '--slot', slot);
  expect(stderr).toContain('2^64');
  expect(code).toBe(exitCodes.USAGE);
});

test.each([
  ['no module and no profile', [], '--module'],
  ['no such profile', ['--profile', 'nosuch'], 'nosuch'],
  ['a profile that is none', ['--profile', profilePath('../package').replace('.yaml', '.json')], 'vendor'],
  ['no such token', ['--profile', 'softhsm2', '--label', 'nosuch'], 'test (slot'],
  ['no such slot', ['--profile', 'softhsm2', '--slot', '0xFFFFFFFFFFFFFFFF'], 'test (slot'],
  ['no directory for a module that wants one', ['--profile', 'nss-softokn'], '@DIRECTORY@'],
])('%s is a fault of the configuration', async (_what, args, named) => {
  const { code, stderr } = await probe(...args);
  expect(stderr).toContain(named);
  expect(code).toBe(exitCodes.CONFIGURATION);
});
