import { readdirSync } from 'node:fs';
import { expect, it } from 'vitest';
import { isPresent, testTokenNames } from '../../daemon/token/test-tokens.ts';
import { tokenTests } from './projects.ts';

// What follows from a file's name alone runs once; what needs a token runs once for each (projects.ts).
const needNoToken = ['curve', 'pkcs11/attributes', 'pkcs11/failure', 'pool/call-queue', 'profile', 'profile-schema'];

it('is run against SoftHSM2 and NSS softokn at least, and says against what else', () => {
  const present = testTokenNames.filter(isPresent);
  const absent = testTokenNames.filter((name) => !isPresent(name));
  console.log(`tokens present: ${present.join(', ')}; absent: ${absent.join(', ') || 'none'}`);
  // `make setup` installs both.
  expect(present).toEqual(expect.arrayContaining(['softhsm2', 'softhsm2-wrap-and-decrypt', 'nss-softokn', 'nss-softokn-wrap-and-decrypt']));
});

it('holds every test of daemon/token that opens a token', () => {
  const directory = new URL('../../daemon/token/', import.meta.url);
  const tests = readdirSync(directory, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.test.ts'));
  const others = tests.filter((name) => !tokenTests.includes(`daemon/token/${name}`)).map((name) => name.replace('.test.ts', ''));
  expect(others.filter((name) => !needNoToken.includes(name))).toEqual([]);
});
