import { execFileSync } from 'node:child_process';
import type { EtcdCluster } from './etcd-cluster.ts';

type Reached = Pick<EtcdCluster, 'endpoints' | 'clientTls'>;

/** etcd's own tool, as an operator runs it. Returns what it printed. */
export const etcdctl = (args: readonly string[]): string =>
  execFileSync('etcdctl', args, { env: { ...process.env, ETCDCTL_API: '3' }, stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8' });

/** The same, of a cluster: by its first member. */
export function etcdctlAt({ endpoints, clientTls }: Reached, ...args: string[]): string {
  const { ca, cert, key } = clientTls;
  return etcdctl(['--endpoints', endpoints[0] as string, '--cacert', ca, '--cert', cert, '--key', key, ...args]);
}

/** Every key that there is, whoever wrote it, in order. */
export function everyKey(cluster: Reached): string[] {
  const { kvs = [] } = JSON.parse(etcdctlAt(cluster, 'get', '', '--prefix', '--keys-only', '--write-out', 'json')) as {
    kvs?: { key: string }[];
  };
  return kvs.map(({ key }) => Buffer.from(key, 'base64').toString());
}
