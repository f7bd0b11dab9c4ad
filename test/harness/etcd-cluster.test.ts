import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { Etcd } from '../../daemon/ledger/etcd.ts';
import { type EtcdCluster, startEtcd } from './etcd-cluster.ts';
import { PATIENCE } from './patience.ts';

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

test('another member leads when the leader is killed, which starts again on its port with its data', async () => {
  const leader = await cluster.leader();
  await leader.kill();
  expect(leader.running).toBe(false);
  await vi.waitFor(async () => expect(await cluster.leader()).not.toBe(leader), PATIENCE);
  await leader.start();
  expect(leader.running).toBe(true);
});
