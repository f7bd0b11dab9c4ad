import { readFileSync, writeFileSync } from 'node:fs';
import { randomBytes } from '@noble/hashes/utils.js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { SecretBytes } from '../../primitives/secret-bytes.ts';
import { CODE } from './support/draft.ts';
import { type OwnFleet, startOwnFleet } from './support/own-fleet.ts';
import { refusalOf } from './support/refusals.ts';

let own: OwnFleet;

beforeAll(async () => {
  own = await startOwnFleet({ etcdMembers: 1 });
});

afterAll(() => own?.stop());

const policy = { limit: 5, coolDownMs: 0 };

test('an etcd that is three quarters full takes no new records, and still takes attempts', async () => {
  const { fleet, world } = own;
  const device = world.device();
  const backupKey = new SecretBytes(randomBytes(32));
  await device.enroll({ recordId: 'before', code: CODE, backupKey, policy });

  for (const { place, process } of fleet.replicas) {
    const config = parse(readFileSync(place.config, 'utf8'));
    config.etcd.quota_bytes = 1024; // any etcd is larger
    writeFileSync(place.config, stringify(config));
    await process.stop();
  }
  await Promise.all(fleet.replicas.map(({ process }) => process.start()));

  expect(await refusalOf(device.enroll({ recordId: 'after', code: CODE, backupKey, policy }))).toBe('STORE_UNAVAILABLE');
  const recovered = await device.recover({ recordId: 'before', code: CODE, renew: false });
  expect(recovered.backupKey.expose()).toEqual(backupKey.expose());

  const metrics = await (await fetch(`http://127.0.0.1:${fleet.replica(1).ports.metrics}/metrics`)).text();
  expect(metrics).toContain('bkv_store_bytes{kind="quota"} 1024');
});
