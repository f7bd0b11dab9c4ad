import { VaultClient } from '../../client/vault-client.ts';
import { fromHex } from '../../primitives/bytes.ts';
import type { DevFleet } from '../harness/dev-fleet.ts';
import { quickHash } from '../harness/soft-client.ts';

/**
 * One device for each replica, which asks that one first: the work of coordinating is spread. Without Argon2id: its cost is a
 * phone's, and is measured by itself.
 */
export function openDevices(fleet: DevFleet): VaultClient[] {
  const { addresses, fleet: name, tenant, statement_hashes } = fleet.client;
  return addresses.map((_, i) => {
    const { transport } = fleet.open([...addresses.slice(i), ...addresses.slice(0, i)]);
    const policy = { kind: 'pinned', statementHashes: statement_hashes.map((hash) => fromHex(hash, 'statement_hashes')) } as const;
    return new VaultClient({ transport, policy, fleet: name, tenant, argon2id: quickHash });
  });
}
