import { join } from 'node:path';
import { Authority, type Validity } from './authority.ts';
import { etcdClientSubject, etcdPeerSubject, etcdServerSubject } from './certificates.ts';
import { makeDirectory, PUBLIC, writeIdentity, writeNew } from './files.ts';

/** PEM files of one TLS party: what it shows, and whom it trusts. */
export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
}

/** TLS of an etcd cluster and of its clients, for development: whoever runs a real etcd has its own certificates. */
export interface EtcdTls {
  /** For each member: towards clients and towards the other members. */
  readonly members: readonly { readonly client: TlsFiles; readonly peer: TlsFiles }[];
  issueClient(directory: string, name: string): Promise<TlsFiles>;
}

/** Two authorities, because etcd gives every certificate of its peers' authority a place in the consensus: no client may have one. */
export async function produceEtcdTls(directory: string, hosts: readonly string[], validity: Validity): Promise<EtcdTls> {
  makeDirectory(directory);
  const clients = await Authority.create('etcd clients, development', validity);
  const peers = await Authority.create('etcd peers, development', validity);
  const clientCa = writeNew(join(directory, 'client-ca.crt'), clients.certificate, PUBLIC);
  const peerCa = writeNew(join(directory, 'peer-ca.crt'), peers.certificate, PUBLIC);

  const members = await Promise.all(
    hosts.map(async (host, i) => {
      const place = makeDirectory(join(directory, `member-${i + 1}`));
      return {
        client: { ...writeIdentity(place, 'server', await clients.issue(etcdServerSubject([host]))), ca: clientCa },
        peer: { ...writeIdentity(place, 'peer', await peers.issue(etcdPeerSubject([host]))), ca: peerCa },
      };
    }),
  );
  return {
    members,
    issueClient: async (place, name) => ({
      ...writeIdentity(place, 'etcd-client', await clients.issue(etcdClientSubject(name))),
      ca: clientCa,
    }),
  };
}
