import { constantTimeEqual } from '../../primitives/bytes.ts';
import { heldBy } from '../ledger/guarded.ts';
import { forgetErased, type Tombstone } from './forget.ts';
import type { Vault } from './vault.ts';

/**
 * Makes one record agree in this replica's guard and in etcd, after either missed something: what was erased goes from the guard; where etcd does not name this
 * replica among the holders, because it was restored while this one was away, it is told, be the generation served or only prepared here.
 */
export async function settle(vault: Vault, rid: Uint8Array): Promise<Tombstone> {
  const tombstone = await forgetErased(vault, rid);
  if (tombstone.state === 'none') await addToEtcd(vault, rid);
  return tombstone;
}

async function addToEtcd({ guard, register, self }: Vault, rid: Uint8Array): Promise<void> {
  const guarded = await guard.read(rid);
  const attempts = await register.readCurrent(rid);
  const own = attempts && heldBy(guarded).find(({ bodyHash }) => constantTimeEqual(bodyHash, attempts.bodyHash));
  if (own && !attempts.holders.includes(self.index)) await register.enrol(own, [self.index]);
}
