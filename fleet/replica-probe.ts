import { readFileSync } from 'node:fs';
import { checkServerIdentity } from 'node:tls';
import * as grpc from '@grpc/grpc-js';
import { service as health } from 'grpc-health-check';
import { promiseClient } from '../grpc/bridge.ts';
import type { Millis } from '../primitives/brand.ts';
import { type GetFleetResponse, VaultService } from '../proto/gen/backupvault/v1/vault_pb.ts';
import { guardFault } from '../protocol/guard-fault.ts';
import { allStoreFaults, healthServiceOf, storeFaults } from '../protocol/store-fault.ts';
import { allTokenFaults, healthServiceOfToken, tokenFaults } from '../protocol/token-fault.ts';
import type { ClientFile } from './client-file.ts';

/** What one address answers, asked without etcd and without the other replicas. */
export interface ReplicaAnswer {
  readonly address: string;
  /** bkv://fleet/<fleet>/replica/<i>, as its certificate says; undefined where no trusted TLS server answers. */
  readonly identity: string | undefined;
  /** Of grpc.health.v1; NO_ANSWER where nothing answers. */
  readonly health: 'SERVING' | 'NOT_SERVING' | 'NO_ANSWER';
  /** The fleet statement that it serves under, and what shows that it is to be trusted. */
  readonly fleet: GetFleetResponse | undefined;
  /** Why something is missing. */
  readonly problem: string | undefined;
}

const DEADLINE: Millis = 2000;

/** `treeSize` is that of the log when the caller saw it last. Never throws: a replica that does not answer is an answer. */
export async function probeReplica(address: string, files: ClientFile['tls'], treeSize = 0): Promise<ReplicaAnswer> {
  let identity: string | undefined;
  const credentials = grpc.credentials.createSsl(readFileSync(files.ca), readFileSync(files.key), readFileSync(files.cert), {
    checkServerIdentity: (host, certificate) => {
      identity = /URI:(bkv:[^,\s]+)/.exec(certificate.subjectaltname ?? '')?.[1];
      return checkServerIdentity(host, certificate);
    },
  });
  const client = new grpc.Client(address, credentials, { 'grpc.enable_retries': 0 });
  const options = () => ({ deadline: Date.now() + DEADLINE });
  try {
    const status = await checkHealth(client, '', options());
    const fleet = await promiseClient(VaultService, client).getFleet({ treeSize: BigInt(treeSize) }, options());
    const problem = status === 'NOT_SERVING' ? await problemOf(client, options()) : undefined;
    return { address, identity, health: status, fleet, problem };
  } catch (error) {
    const { details, message } = error as grpc.ServiceError;
    return {
      address,
      identity,
      health: 'NO_ANSWER',
      fleet: undefined,
      problem: (details || message).replace(/ Resolution note:.*$/, ''),
    };
  } finally {
    client.close();
  }
}

/** The causes, by the health service that says each: the replica's own token first. */
const causes: readonly (readonly [service: string, meaning: string])[] = [
  ...allTokenFaults.map((fault) => [healthServiceOfToken(fault), tokenFaults[fault]] as const),
  [guardFault.service, guardFault.meaning],
  ...allStoreFaults.map((fault) => [healthServiceOf(fault), storeFaults[fault]] as const),
];

async function problemOf(client: grpc.Client, options: grpc.CallOptions): Promise<string | undefined> {
  // A replica that is about to stop, or is of an earlier version, need not know these services.
  const answers = await Promise.all(causes.map(([service]) => checkHealth(client, service, options).catch(() => undefined)));
  return causes[answers.indexOf('NOT_SERVING')]?.[1];
}

function checkHealth(client: grpc.Client, service: string, options: grpc.CallOptions): Promise<'SERVING' | 'NOT_SERVING'> {
  const check = health.Check as grpc.MethodDefinition<object, { status: string }>;
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(check.path, check.requestSerialize, check.responseDeserialize, { service }, options, (error, reply) =>
      error ? reject(error) : resolve(reply?.status === 'SERVING' ? 'SERVING' : 'NOT_SERVING'),
    );
  });
}
