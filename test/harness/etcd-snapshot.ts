import { mkdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import type { EtcdCluster } from './etcd-cluster.ts';
import { etcdctl, etcdctlAt } from './etcdctl.ts';

/** As an operator backs etcd up. */
export function saveSnapshot(cluster: EtcdCluster, file: string): void {
  etcdctlAt(cluster, 'snapshot', 'save', file);
}

/** As an operator puts a backup back: every member stopped, its old data set aside, a new cluster token. Returns once etcd serves. */
export async function restoreSnapshot(cluster: EtcdCluster, file: string): Promise<void> {
  const { members, dataDirectories, peerUrls, directory } = cluster;
  await Promise.all(members.map((member) => member.stop()));
  const initial = members.map(({ name }, i) => `${name}=${peerUrls[i]}`).join(',');
  const attic = join(directory, `before-${Date.now()}`);
  mkdirSync(attic);
  for (const [i, { name }] of members.entries()) {
    const data = dataDirectories[i] as string;
    renameSync(data, join(attic, name));
    const place = ['--name', name, '--data-dir', data, '--initial-advertise-peer-urls', peerUrls[i] as string];
    etcdctl(['snapshot', 'restore', file, ...place, '--initial-cluster', initial, '--initial-cluster-token', attic]);
  }
  await Promise.all(members.map((member) => member.start()));
}
