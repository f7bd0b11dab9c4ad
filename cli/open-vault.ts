import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import type { VaultTransport } from '../client/transport.ts';
import type { ReceiptListener, Step } from '../client/vault.ts';
import { VaultClient } from '../client/vault-client.ts';
import { type ClientFile, loadClientFile } from '../fleet/client-file.ts';
import { GrantSigner } from '../frontend/grant-signer.ts';
import { frontendTransport } from '../frontend/transport.ts';
import { VaultConnection } from '../frontend/vault-connection.ts';
import { fromHex } from '../primitives/bytes.ts';
import { VaultError } from '../primitives/errors.ts';

export interface OpenVault {
  readonly vault: VaultClient;
  /** What `vault` calls: grants are added on the way. */
  readonly transport: VaultTransport;
  close(): void;
}

/** Frontend and device in one process: for development fleets, where one person is both. */
export function openVault({ fleet, tenant, addresses, tls, grant, statement_hashes }: ClientFile, onReceipts?: ReceiptListener): OpenVault {
  const connection = new VaultConnection({ addresses, tls: { ca: readPem(tls.ca), cert: readPem(tls.cert), key: readPem(tls.key) } });
  const signer = new GrantSigner({ kid: grant.kid, pem: readPem(grant.key) });
  const transport = frontendTransport({ connection, signer, fleet, tenant });
  const vault = new VaultClient({
    transport,
    policy: { kind: 'pinned', statementHashes: statement_hashes.map((hash) => fromHex(hash, 'statement_hashes')) },
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

function readPem(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new VaultError('CONFIG_INVALID', `Cannot read ${file}, which the client file names: ${(cause as Error).message}`, { cause });
  }
}
