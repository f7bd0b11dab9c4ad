import { afterAll, beforeAll, expect, test } from 'vitest';
import { Etcd } from '../../daemon/ledger/etcd.ts';
import { type EtcdCluster, startEtcd } from './etcd-cluster.ts';

let cluster: EtcdCluster;

beforeAll(async () => {
  cluster = await startEtcd();
});

afterAll(() => cluster?.stop());

const open = () => new Etcd({ endpoints: cluster.endpoints, tls: cluster.clientTls, prefix: '/harness/' });

test('three members with TLS serve reads and writes', async () => {
  const etcd = open();
  const value = new Uint8Array([1, 2, 3]);
  expect(await etcd.commit({ conditions: [], writes: [{ put: 'key', value }], otherwise: [] })).toEqual({ applied: true });
  expect((await etcd.read('key'))[0]?.value).toEqual(value);
  etcd.close();
});

test('a killed member starts again on its port with its data', async () => {
  const [first] = cluster.members;
  if (!first) throw new Error('no member');
  await first.kill();
  expect(first.running).toBe(false);
  await first.start();
  expect(first.running).toBe(true);
});
