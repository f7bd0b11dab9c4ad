import { rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { toHex } from '../../primitives/bytes.ts';
import { encodeStatement, parseStatement, STATEMENT_TYPE, type Statement } from '../../protocol/statement.ts';
import type { ClientFile } from '../client-file.ts';
import { Authority, type Validity, validityFrom } from './authority.ts';
import { frontendSubject, replicaSubject } from './certificates.ts';
import { type EtcdTls, produceEtcdTls } from './etcd-tls.ts';
import { makeDirectory, PUBLIC, SECRET, writeIdentity, writeNew, writePins } from './files.ts';
import { checkPlan, type FleetPlan, placeOf, type ReplicaPlace } from './fleet-plan.ts';
import { GRANT_KID, newGrantKey } from './grant-key.ts';
import { connectTo, replicaConfig } from './replica-config.ts';
import type { Provisioned } from './token-reading.ts';

export interface ProducedFleet {
  readonly directory: string;
  readonly statement: Statement;
  readonly replicas: readonly ReplicaPlace[];
  /** For `bkvctl --client`. */
  readonly clientFile: string;
}

/** Makes a development fleet in a new directory: all of it, or nothing. */
export async function produceFleet(plan: FleetPlan): Promise<ProducedFleet> {
  checkPlan(plan);
  makeDirectory(plan.directory);
  try {
    return await produceInto(plan.directory, plan);
  } catch (error) {
    rmSync(plan.directory, { recursive: true, force: true }); // ours: it did not exist before
    throw error;
  }
}

async function produceInto(directory: string, plan: FleetPlan): Promise<ProducedFleet> {
  const validity = validityFrom(plan.now);
  plan.progress('making certificates');
  // Two authorities, so that no frontend can pose as a replica, nor a replica as a frontend.
  const replicas = await Authority.create(`${plan.fleet} replicas, development`, validity);
  const frontends = await Authority.create(`${plan.fleet} frontends, development`, validity);
  writeNew(join(directory, 'replicas-ca.crt'), replicas.certificate, PUBLIC);
  writeNew(join(directory, 'frontends-ca.crt'), frontends.certificate, PUBLIC);
  const etcdTls = plan.etcdTls ?? (await produceEtcdTls(join(directory, 'etcd'), plan.etcdEndpoints.map(hostOf), validity));
  await writeTenant(join(directory, 'tenant'), plan, frontends);

  const places: ReplicaPlace[] = [];
  const provisioned: Provisioned[] = [];
  for (let index = 1; index <= plan.ports.length; index++) {
    const place = await writeReplica(index, plan, replicas, etcdTls);
    const soPinFile = plan.ownTokens?.[index] ? undefined : writePins(place.directory);
    plan.progress(`making ${soPinFile === undefined ? 'the' : 'token and'} keys of replica ${index} of ${plan.ports.length}`);
    provisioned.push(await plan.provision(place, soPinFile));
    places.push(place);
  }

  const statement = writeStatement(plan, provisioned, validity);
  return { directory, statement, replicas: places, clientFile: writeClientFile(plan, statement) };
}

async function writeReplica(index: number, plan: FleetPlan, authority: Authority, etcdTls: EtcdTls): Promise<ReplicaPlace> {
  const place = placeOf(plan.directory, plan.fleet, index);
  const directory = makeDirectory(place.directory);
  const tls = makeDirectory(join(directory, 'tls'));
  const identity = await authority.issue(replicaSubject(plan.fleet, index));
  const etcd = await etcdTls.issueClient(tls, `replica-${index}`);
  writeIdentity(tls, 'replica', identity);
  writeNew(place.config, replicaConfig(index, plan, relative(directory, etcd.ca)), PUBLIC);
  return place;
}

async function writeTenant(directory: string, plan: FleetPlan, authority: Authority): Promise<void> {
  makeDirectory(directory);
  writeIdentity(directory, 'frontend', await authority.issue(frontendSubject(plan.tenant)));
  const grant = newGrantKey();
  writeNew(join(directory, 'grant.key'), grant.privateKey, SECRET);
  writeNew(join(directory, 'grant.pub'), grant.publicKey, PUBLIC);
}

/** The fleet's first. Throws FLEET_UNTRUSTED for what no client would accept. */
function writeStatement(plan: FleetPlan, replicas: readonly Provisioned[], validity: Validity): Statement {
  const { fleet, threshold, operators, software } = plan;
  const bytes = encodeStatement({
    ...{ type: STATEMENT_TYPE, fleet, epoch: 1, previous: null, threshold },
    replicas: replicas.map((replica, i) => ({
      ...{ index: i + 1, name: `replica-${i + 1}`, operator: operators?.[i + 1] ?? fleet, guard_incarnation: 1 },
      ...replica,
    })),
    ...{ earlier: [], store_incarnation: 1 },
    not_before: validity.notBefore.toISOString(),
    not_after: validity.notAfter.toISOString(),
    ...{ software, evidence: null },
  });
  const statement = parseStatement(bytes); // as every client will
  writeNew(join(plan.directory, 'statement.json'), statement.bytes, PUBLIC);
  return statement;
}

function writeClientFile(plan: FleetPlan, statement: Statement): string {
  const file: ClientFile = {
    fleet: plan.fleet,
    tenant: plan.tenant,
    addresses: plan.ports.map(({ frontend }) => connectTo(frontend)),
    tls: { ca: 'replicas-ca.crt', cert: 'tenant/frontend.crt', key: 'tenant/frontend.key' },
    grant: { kid: GRANT_KID, key: 'tenant/grant.key' },
    statement_hashes: [toHex(statement.hash)],
  };
  return writeNew(join(plan.directory, 'client.json'), `${JSON.stringify(file, null, 2)}\n`, PUBLIC);
}

const hostOf = (url: string) => new URL(url).hostname;
