import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { loadConfig } from '../../daemon/config.ts';
import { loadProfile, type Profile } from '../../daemon/token/profile.ts';
import { profilePath } from '../../primitives/package-root.ts';
import { SecretBytes } from '../../primitives/secret-bytes.ts';
import { DevFleet } from '../harness/dev-fleet.ts';
import { scratchDirectory } from '../harness/reaper.ts';

// Three kinds of token in one fleet: SoftHSM2, which shows a derived value; NSS softokn, as one that wraps it to a key of the host; and SoftHSM2
// as one that wraps and decrypts it itself.

const CODE = '493817 205514';
let fleet: DevFleet;

beforeAll(async () => {
  const directory = scratchDirectory('profile');
  const otherProfiles = {
    2: writeProfile(directory, 'nss-softokn', { way: 'oaep', hash: 'sha256' }),
    3: writeProfile(directory, 'softhsm2', { way: 'wrap-decrypt', wrap: CKM_AES_CBC, decrypt: CKM_AES_CBC, iv: 'zero' }),
  };
  fleet = await DevFleet.start({ etcdMembers: 1, otherProfiles });
});

afterAll(() => fleet?.stop());

const CKM_AES_CBC = 0x1082;

/** A vendor's profile with another way for x to leave the token. */
function writeProfile(directory: string, vendor: string, readout: Profile['readout']): string {
  const path = join(directory, `${vendor}.yaml`);
  writeFileSync(path, stringify({ ...loadProfile(profilePath(vendor)), readout }));
  return path;
}

test('a fleet may be of tokens of several vendors', () => {
  const { replicas } = JSON.parse(Buffer.from(fleet.statement.bytes).toString()) as { replicas: { token: { manufacturer: string } }[] };
  expect(replicas.map(({ token }) => token.manufacturer)).toEqual(['SoftHSM project', 'Mozilla Foundation', 'SoftHSM project']);
  const ways = fleet.replicas.map(({ place }) => loadProfile(loadConfig(place.config).token.profile).readout.way);
  expect(ways).toEqual(['read', 'oaep', 'wrap-decrypt']);
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
