// @peculiar/x509 stands on a container of dependencies that needs this, loaded before it.
import 'reflect-metadata';
import { ExtendedKeyUsage, type JsonGeneralName } from '@peculiar/x509';
import { replicaHost, replicaUri, tenantUri } from '../../protocol/names.ts';
import type { Subject } from './authority.ts';

// Who is who in a fleet's certificates. The daemon reads a caller's role from the URI name and from nothing else.

const dns = (value: string): JsonGeneralName => ({ type: 'dns', value });
const ip = (value: string): JsonGeneralName => ({ type: 'ip', value });
const uri = (value: string): JsonGeneralName => ({ type: 'url', value });

// A development fleet lives on one machine.
const loopback = [dns('localhost'), ip('127.0.0.1')];

/** One certificate for a replica's both ports: it is the same party to frontends (server) and to its peers (server and client). */
export const replicaSubject = (fleet: string, index: number): Subject => ({
  commonName: replicaHost(fleet, index),
  usages: [ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth],
  names: [dns(replicaHost(fleet, index)), ...loopback, uri(replicaUri(fleet, index))],
});

export const frontendSubject = (tenant: string): Subject => ({
  commonName: `frontend of ${tenant}`,
  usages: [ExtendedKeyUsage.clientAuth],
  names: [uri(tenantUri(tenant))],
});

export const etcdServerSubject = (hosts: readonly string[]): Subject => ({
  commonName: 'etcd server',
  usages: [ExtendedKeyUsage.serverAuth],
  names: hostNames(hosts),
});

/** Members call each other, so that theirs are both. */
export const etcdPeerSubject = (hosts: readonly string[]): Subject => ({
  commonName: 'etcd peer',
  usages: [ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth],
  names: hostNames(hosts),
});

export const etcdClientSubject = (name: string): Subject => ({
  commonName: name,
  usages: [ExtendedKeyUsage.clientAuth],
  names: [dns(name)],
});

/** Of the key in a token that signs bundles: S/MIME takes no other usage (RFC 8551 §4.4.4). */
export const bundleSignerSubject = (commonName: string): Subject => ({
  commonName,
  usages: [ExtendedKeyUsage.emailProtection],
  names: [],
});

function hostNames(hosts: readonly string[]): JsonGeneralName[] {
  const others = hosts.filter((host) => host !== 'localhost' && host !== '127.0.0.1');
  return [...loopback, ...others.map((host) => (/^[\d.]+$/.test(host) ? ip(host) : dns(host)))];
}
