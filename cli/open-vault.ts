import type { Command } from 'commander';
import type { VaultTransport } from '../client/transport.ts';
import type { ReceiptListener, Step } from '../client/vault.ts';
import { VaultClient } from '../client/vault-client.ts';
import { type ClientFile, loadClientFile } from '../fleet/client-file.ts';
import { GrantSigner } from '../frontend/grant-signer.ts';
import { frontendTransport } from '../frontend/transport.ts';
import { VaultConnection } from '../frontend/vault-connection.ts';
import { policyOf, readNamed } from './client-policy.ts';

export interface OpenVault {
  readonly vault: VaultClient;
  /** What `vault` calls: grants are added on the way. */
  readonly transport: VaultTransport;
  close(): void;
}

/** Frontend and device in one process: for development fleets, where one person is both. */
export function openVault(client: ClientFile, onReceipts?: ReceiptListener): OpenVault {
  const { fleet, tenant, addresses, tls, grant } = client;
  const connection = new VaultConnection({ addresses, tls: { ca: readNamed(tls.ca), cert: readNamed(tls.cert), key: readNamed(tls.key) } });
  const signer = new GrantSigner({ kid: grant.kid, pem: readNamed(grant.key) });
  const transport = frontendTransport({ connection, signer, fleet, tenant });
  const vault = new VaultClient({
    transport,
    policy: policyOf(client),
    fleet,
    tenant,
    ...(onReceipts ? { onReceipts } : {}),
  });
  return { vault, transport, close: () => connection.close() };
}

/** For one command. */
export async function withVault<T>(command: Command, use: (vault: VaultClient) => Promise<T>, onReceipts?: ReceiptListener): Promise<T> {
  const { vault, close } = openVault(loadClientFile(clientFileOf(command)), onReceipts);
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
