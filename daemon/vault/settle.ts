import { constantTimeEqual } from '../../primitives/bytes.ts';
import { heldBy } from '../ledger/guarded.ts';
import { holds } from '../ledger/register.ts';
import { forgetErased, type Tombstone } from './forget.ts';
import type { Vault } from './vault.ts';

/**
 * Makes one record agree in this replica's guard and in etcd, after either missed something: what was erased goes from the guard; a
 * sub-record that etcd lacks, because it was restored while this replica was away, is added, be it served or only prepared here.
 */
export async function settle(vault: Vault, rid: Uint8Array): Promise<Tombstone> {
  const tombstone = await forgetErased(vault, rid);
  if (tombstone.state === 'none') await addToEtcd(vault, rid);
  return tombstone;
}

async function addToEtcd(vault: Vault, rid: Uint8Array): Promise<void> {
  const { guard, register } = vault;
  const guarded = await guard.read(rid);
  const { attempts, record } = await register.readCurrent(rid);
  const own = attempts && heldBy(guarded).find(({ bodyHash }) => constantTimeEqual(bodyHash, attempts.bodyHash));
  if (!own) return;
  if (!holds(record, own.subRecord)) await register.enrol(own, [own.subRecord]);
}
