import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { loadConfig } from '../../daemon/config.ts';
import { loadProfile, parseProfile } from '../../daemon/token/profile.ts';
import { profilePath } from '../../primitives/package-root.ts';
import { SecretBytes } from '../../primitives/secret-bytes.ts';
import { DevFleet } from '../harness/dev-fleet.ts';
import { scratchDirectory } from '../harness/reaper.ts';

// Three kinds of token in one fleet: SoftHSM2 with suite A, NSS softokn with suite B, and SoftHSM2 as a token that shows no derived value.

const CODE = '493817 205514';
let fleet: DevFleet;

beforeAll(async () => {
  const path = join(scratchDirectory('profile'), 'shy.yaml');
  const shy = { ...loadProfile(profilePath('softhsm2')), rawEcdh: 'wrap-and-decrypt' };
  writeFileSync(path, stringify(shy));
  parseProfile(readFileSync(path, 'utf8'), path);
  fleet = await DevFleet.start({ etcdMembers: 1, otherProfiles: { 2: 'nss-softokn', 3: path } });
});

afterAll(() => fleet?.stop());

test('a fleet may be of tokens of several vendors', () => {
  const { replicas } = JSON.parse(Buffer.from(fleet.statement.bytes).toString()) as { replicas: { token: { manufacturer: string } }[] };
  expect(replicas.map(({ token }) => token.manufacturer)).toEqual(['SoftHSM project', 'Mozilla Foundation', 'SoftHSM project']);
  expect(fleet.statement.replicas.map(({ sessionSuite }) => sessionSuite)).toEqual(['A', 'B', 'A']);
  const ways = fleet.replicas.map(({ place }) => loadProfile(loadConfig(place.config).token.profile).rawEcdh);
  expect(ways).toEqual(['direct', 'direct', 'wrap-and-decrypt']);
});

test('all of them hold a share, and give it back for the right code alone', async () => {
  const { vault } = fleet.open();
  const backupKey = new SecretBytes(randomBytes(32));
  const { holders } = await vault.enroll({ recordId: 'alice', code: CODE, backupKey, policy: { limit: 5, coolDownMs: 0 } });
  expect(holders).toEqual([1, 2, 3]);
  await expect(vault.recover({ recordId: 'alice', code: 'wrong horse battery' })).rejects.toMatchObject({ code: 'WRONG_CODE' });
  const recovered = await vault.recover({ recordId: 'alice', code: CODE });
  expect(recovered.backupKey.expose()).toEqual(backupKey.expose());
  expect(recovered.renewal).toMatchObject({ state: 'renewed' });
});

// With t = 2 of 3, each pair has to do it alone: so each kind of token is one that the others cannot do without.
describe('any two of them recover without the third', () => {
  const keys = new Map<number, SecretBytes>();
  const recordWithout = (down: number) => `without-${down}`;

  beforeAll(async () => {
    const { vault } = fleet.open();
    for (const down of [1, 2, 3]) {
      const backupKey = new SecretBytes(randomBytes(32));
      keys.set(down, backupKey);
      const { holders } = await vault.enroll({
        recordId: recordWithout(down),
        code: CODE,
        backupKey,
        policy: { limit: 5, coolDownMs: 0 },
      });
      expect(holders).toEqual([1, 2, 3]);
    }
  });

  test.each([1, 2, 3])('%i is down', async (down) => {
    const { vault } = fleet.open(fleet.client.addresses.filter((_, i) => i + 1 !== down));
    const { process } = fleet.replica(down);
    await process.stop();
    try {
      const { backupKey } = await vault.recover({ recordId: recordWithout(down), code: CODE });
      expect(backupKey.expose()).toEqual(keys.get(down)?.expose());
    } finally {
      await process.start();
    }
  });
});
