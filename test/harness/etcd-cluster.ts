import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { validityFrom } from '../../fleet/produce/authority.ts';
import { type EtcdTls, produceEtcdTls, type TlsFiles } from '../../fleet/produce/etcd-tls.ts';
import { makeDirectory } from '../../fleet/produce/files.ts';
import { getFromEtcd } from './etcd-http.ts';
import { freePorts } from './free-port.ts';
import { ManagedProcess } from './managed-process.ts';
import { scratchDirectory } from './reaper.ts';

export interface EtcdOptions {
  /** 3 unless told. */
  readonly members?: number;
  /** Further command-line arguments of every member. */
  readonly args?: readonly string[];
}

export interface EtcdCluster {
  readonly endpoints: readonly string[];
  readonly members: readonly ManagedProcess[];
  /** Of each member. */
  readonly dataDirectories: readonly string[];
  readonly peerUrls: readonly string[];
  /** A client's certificate, good for every key: etcd's own roles are not used by the vault. */
  readonly clientTls: TlsFiles;
  readonly tls: EtcdTls;
  readonly directory: string;
  /** The member that the others follow now; `except` is not asked. */
  leader(except?: ManagedProcess): Promise<ManagedProcess>;
  stop(): Promise<void>;
}

/** Starts a real etcd cluster on loopback, with TLS and client certificates everywhere, and waits until each member serves. */
export async function startEtcd(options: EtcdOptions = {}): Promise<EtcdCluster> {
  const count = options.members ?? 3;
  const directory = scratchDirectory('etcd');
  const tls = await produceEtcdTls(join(directory, 'tls'), Array<string>(count).fill('localhost'), validityFrom(Date.now()));
  const clientTls = await tls.issueClient(makeDirectory(join(directory, 'client')), 'harness');
  const ports = await freePorts(2 * count);
  const places = tls.members.map((files, i) => ({
    name: `etcd-${i + 1}`,
    files,
    clientUrl: `https://localhost:${ports[2 * i]}`,
    // etcd insists on an address to listen on, and Debian's asks no DNS for it.
    listenUrl: `https://127.0.0.1:${ports[2 * i]}`,
    peerUrl: `https://127.0.0.1:${ports[2 * i + 1]}`,
  }));
  const initial = places.map(({ name, peerUrl }) => `${name}=${peerUrl}`).join(',');

  const members = places.map(
    ({ name, files, clientUrl, listenUrl, peerUrl }) =>
      new ManagedProcess({
        name,
        program: 'etcd',
        args: [
          ...['--name', name, '--data-dir', join(directory, name)],
          ...['--listen-client-urls', listenUrl, '--advertise-client-urls', clientUrl],
          ...['--listen-peer-urls', peerUrl, '--initial-advertise-peer-urls', peerUrl],
          ...['--initial-cluster', initial, '--initial-cluster-state', 'new', '--initial-cluster-token', directory],
          ...['--cert-file', files.client.cert, '--key-file', files.client.key, '--trusted-ca-file', files.client.ca, '--client-cert-auth'],
          ...['--peer-cert-file', files.peer.cert, '--peer-key-file', files.peer.key, '--peer-trusted-ca-file', files.peer.ca],
          '--peer-client-cert-auth',
          // The gateway would call its own member with the server's certificate, which is none for clients.
          '--enable-grpc-gateway=false',
          // Every attempt leaves an old revision behind: without compaction the store fills up.
          ...['--auto-compaction-mode', 'periodic', '--auto-compaction-retention', '1m'],
          ...['--logger', 'zap', '--log-outputs', 'stderr', '--log-level', 'warn'],
          ...(options.args ?? []),
        ],
        logFile: join(directory, `${name}.log`),
        ready: async () => (await getFromEtcd(`${clientUrl}/health`, clientTls))?.includes('"true"') ?? false,
      }),
  );

  // Together: a member is healthy only once it sees a majority.
  await Promise.all(members.map((member) => member.start()));
  return {
    endpoints: places.map(({ clientUrl }) => clientUrl),
    members,
    dataDirectories: places.map(({ name }) => join(directory, name)),
    peerUrls: places.map(({ peerUrl }) => peerUrl),
    clientTls,
    tls,
    directory,
    leader: async (except) => {
      const ask = (url: string, i: number) => (members[i] === except ? undefined : getFromEtcd(`${url}/metrics`, clientTls));
      const metrics = await Promise.all(places.map(({ clientUrl }, i) => ask(clientUrl, i)));
      const leader = members[metrics.findIndex((text) => text?.includes('\netcd_server_is_leader 1'))];
      if (!leader) throw new Error('no member of etcd leads now');
      return leader;
    },
    stop: async () => {
      await Promise.all(members.map((member) => member.kill())); // its data goes too: a graceful end would only take time
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
