import { readdirSync } from 'node:fs';
import { expect, it } from 'vitest';
import { isPresent, testTokenNames, whyAbsent } from '../harness/test-tokens.ts';
import { tokenTests } from './projects.ts';

// What follows from a file's name alone runs once; what needs a token runs once for each (projects.ts).
const needNoToken = ['curve', 'pkcs11/attributes', 'pkcs11/failure', 'pool/call-queue', 'profile', 'profile-schema'];

it('is run against SoftHSM2 and NSS softokn with each readout, and p11-kit’s proxy at least, and says against what else', () => {
  const present = testTokenNames.filter(isPresent);
  const absent = testTokenNames.filter((name) => !isPresent(name)).map((name) => `${name} (${whyAbsent(name)})`);
  console.log(`tokens present: ${present.join(', ')}; absent: ${absent.join(', ') || 'none'}`);
  // `make setup` installs them.
  const ways = ['softhsm2', 'nss-softokn'].flatMap((name) => [name, `${name}-wrap-decrypt`, `${name}-oaep`]);
  expect(present).toEqual(expect.arrayContaining([...ways, 'p11-kit-proxy']));
});

it('holds every test of daemon/token that opens a token', () => {
  const directory = new URL('../../daemon/token/', import.meta.url);
  const tests = readdirSync(directory, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.test.ts'));
  const others = tests.filter((name) => !tokenTests.includes(`daemon/token/${name}`)).map((name) => name.replace('.test.ts', ''));
  expect(others.filter((name) => !needNoToken.includes(name))).toEqual([]);
});
