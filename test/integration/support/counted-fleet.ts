import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { Authority, validityFrom } from '../../../fleet/produce/authority.ts';
import { etcdClientSubject, frontendSubject, replicaSubject } from '../../../fleet/produce/certificates.ts';
import type { TlsFiles } from '../../../fleet/produce/etcd-tls.ts';
import { makeDirectory, PUBLIC, SECRET, writeIdentity, writeNew } from '../../../fleet/produce/files.ts';
import { newGrantKey } from '../../../fleet/produce/grant-key.ts';
import { DevFleet, type DevReplica } from '../../harness/dev-fleet.ts';
import { compileShim } from './token-uses.ts';

/** Where everything of a fleet is. */
export interface FleetPlaces {
  readonly clientFile: string;
  readonly etcd: { readonly endpoints: readonly string[]; readonly clientTls: TlsFiles };
  /** In order of index. */
  readonly replicas: readonly ReplicaPlaces[];
}

/** Other callers of the shared fleet. */
export interface Others {
  /** Of a second tenant, which the fleet serves as well. */
  readonly rivalClientFile: string;
  /** Certificates of the right names by an authority that nobody here trusts. */
  readonly stranger: { readonly frontend: TlsFiles; readonly replica: TlsFiles };
  /** Certificates by an authority of frontends, of the wrong names: a tenant that is not served, and no tenant. */
  readonly misnamed: { readonly unserved: TlsFiles; readonly nameless: TlsFiles };
}

export interface ReplicaPlaces {
  readonly directory: string;
  /** host:port */
  readonly peer: string;
  /** What it shows to its peers. */
  readonly tls: TlsFiles;
  /** What its token's keys were used on. */
  readonly uses: string;
}

const RIVAL = 'rival';

/** A fleet whose tokens record what their keys are used on, and which serves two tenants. */
export async function startCountedFleet(): Promise<{ places: FleetPlaces; others: Others; stop: () => Promise<void> }> {
  const fleet = await DevFleet.start();
  try {
    // The fleet's authorities are gone once it is made: the second tenant comes with an authority of its own.
    const authority = await Authority.create(`${RIVAL} frontends`, validityFrom(Date.now()));
    const rivalClientFile = await writeRival(fleet, authority);
    const module = compileShim(fleet.directory);
    await Promise.all(fleet.replicas.map((replica) => restartWith(replica, module)));
    const others = { rivalClientFile, stranger: await writeStranger(fleet), misnamed: await writeMisnamed(fleet, authority) };
    return { places: placesOf(fleet), others, stop: () => fleet.stop() };
  } catch (error) {
    await fleet.stop();
    throw error;
  }
}

async function writeRival(fleet: DevFleet, authority: Authority): Promise<string> {
  const directory = makeDirectory(join(fleet.directory, RIVAL));
  writeIdentity(directory, 'frontend', await authority.issue(frontendSubject(RIVAL)));
  writeNew(join(directory, 'ca.crt'), readFileSync(join(fleet.directory, 'frontends-ca.crt'), 'utf8') + authority.certificate, PUBLIC);
  const grant = newGrantKey();
  writeNew(join(directory, 'grant.key'), grant.privateKey, SECRET);
  writeNew(join(directory, 'grant.pub'), grant.publicKey, PUBLIC);
  const file = {
    ...JSON.parse(readFileSync(fleet.clientFile, 'utf8')),
    tenant: RIVAL,
    tls: { ca: '../replicas-ca.crt', cert: 'frontend.crt', key: 'frontend.key' },
    grant: { kid: 'rival-1', key: 'grant.key' },
  };
  return writeNew(join(directory, 'client.json'), JSON.stringify(file), PUBLIC);
}

async function restartWith({ place, process }: DevReplica, module: string): Promise<void> {
  const config = parse(readFileSync(place.config, 'utf8'));
  config.token.module = module;
  config.tls.frontend.ca = `../${RIVAL}/ca.crt`;
  config.tenants.push({ name: RIVAL, grant_keys: [{ kid: 'rival-1', file: `../${RIVAL}/grant.pub` }] });
  writeFileSync(place.config, stringify(config));
  await process.stop();
  await process.start();
}

async function writeStranger(fleet: DevFleet): Promise<Others['stranger']> {
  const authority = await Authority.create('stranger', validityFrom(Date.now()));
  const { fleet: name, tenant } = fleet.client;
  const directory = makeDirectory(join(fleet.directory, 'stranger'));
  const { ca } = fleet.client.tls;
  return {
    frontend: { ...writeIdentity(directory, 'frontend', await authority.issue(frontendSubject(tenant))), ca },
    replica: { ...writeIdentity(directory, 'replica', await authority.issue(replicaSubject(name, 1))), ca },
  };
}

async function writeMisnamed(fleet: DevFleet, authority: Authority): Promise<Others['misnamed']> {
  const directory = makeDirectory(join(fleet.directory, 'misnamed'));
  const { ca } = fleet.client.tls;
  return {
    unserved: { ...writeIdentity(directory, 'unserved', await authority.issue(frontendSubject('nobody'))), ca },
    nameless: { ...writeIdentity(directory, 'nameless', await authority.issue(etcdClientSubject('nameless'))), ca },
  };
}

export function placesOf(fleet: DevFleet): FleetPlaces {
  const { endpoints, clientTls } = fleet.etcd;
  const { ca } = fleet.client.tls;
  return {
    clientFile: fleet.clientFile,
    etcd: { endpoints, clientTls },
    replicas: fleet.replicas.map(({ place, ports }) => ({
      directory: place.directory,
      peer: `localhost:${ports.peer}`,
      tls: { cert: join(place.directory, 'tls/replica.crt'), key: join(place.directory, 'tls/replica.key'), ca },
      uses: join(place.directory, 'softhsm2.conf.uses'),
    })),
  };
}
