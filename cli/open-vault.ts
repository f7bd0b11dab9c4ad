import type { Command } from 'commander';
import type { VaultTransport } from '../client/transport.ts';
import type { TrustPolicy } from '../client/trust-policy.ts';
import type { Step } from '../client/vault.ts';
import { VaultClient, type VaultClientOptions } from '../client/vault-client.ts';
import { type ClientFile, loadClientFile } from '../fleet/client-file.ts';
import { GrantSigner } from '../frontend/grant-signer.ts';
import { frontendTransport } from '../frontend/transport.ts';
import { VaultConnection } from '../frontend/vault-connection.ts';
import { fromHex } from '../primitives/bytes.ts';
import { readInput } from './arguments.ts';
import { everyAccount } from './every-account.ts';
import { fileMemory } from './trust-memory.ts';

export interface OpenVault {
  readonly vault: VaultClient;
  /** What `vault` calls: grants are added on the way. */
  readonly transport: VaultTransport;
  close(): void;
}

/** What the device keeps. */
type Device = Pick<VaultClientOptions, 'onReceipts' | 'blinds'>;

/** Frontend and device in one process: for development fleets, where one person is both. */
export function openVault(client: ClientFile, device: Device = {}): OpenVault {
  const { fleet, tenant, addresses, tls, grant } = client;
  const connection = new VaultConnection({ addresses, tls: { ca: readNamed(tls.ca), cert: readNamed(tls.cert), key: readNamed(tls.key) } });
  const signer = new GrantSigner({ kid: grant.kid, pem: readNamed(grant.key) });
  const transport = everyAccount((account) => frontendTransport({ connection, signer, fleet, tenant, account }));
  const vault = new VaultClient({
    transport,
    policy: policyOf(client),
    fleet,
    tenant,
    ...device,
  });
  return { vault, transport, close: () => connection.close() };
}

/** For one command. */
export async function withVault<T>(command: Command, use: (vault: VaultClient) => Promise<T>, device?: Device): Promise<T> {
  const { vault, close } = openVault(loadClientFile(clientFileOf(command)), device);
  try {
    return await use(vault);
  } finally {
    close();
  }
}

export const clientFileOf = (command: Command): string => command.optsWithGlobals<{ client: string }>().client;

/** For people who wait. */
export const steps: Record<Step, string> = {
  describing: 'asking for the record',
  stretching: 'stretching the code',
  asking: 'asking the replicas',
  combining: 'combining their answers',
  releasing: 'proving the code',
  storing: 'storing',
  renewing: 'enrolling again under fresh keys',
};

/** Whom the person who wrote the client file believes. Throws CONFIG_INVALID. */
export function policyOf({ fleet, trust, statement_hashes }: ClientFile): TrustPolicy {
  if (!trust) return { kind: 'pinned', statementHashes: statement_hashes.map((hash) => fromHex(hash, 'statement_hashes')) };
  return {
    kind: 'witnessed',
    operatorCa: readNamed(trust.operator_ca),
    witnessCa: readNamed(trust.witness_ca),
    logPolicy: readFileNamed(trust.log_policy),
    epochLeast: trust.epoch_least,
    operatorsLeast: trust.operators_least,
    checkpointAgeMost: trust.checkpoint_age_most_ms,
    memory: fileMemory(trust.memory, fleet),
  };
}

const readFileNamed = (file: string): Buffer => readInput(file, '', ', which the client file names');
const readNamed = (file: string): string => readFileNamed(file).toString('utf8');
