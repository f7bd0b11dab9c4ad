import { systemClock } from '../primitives/clock.ts';
import type { Config } from './config.ts';
import { readStatement, readTenantKeys } from './inputs.ts';
import { Etcd } from './ledger/etcd.ts';
import { GuardStore } from './ledger/guard-store.ts';
import { Register } from './ledger/register.ts';
import { connectPeer } from './replica/peer.ts';
import { rebuildGuard } from './replica/rebuild-guard.ts';
import { GrantVerifier } from './vault/grants.ts';
import { receiptKeys } from './vault/p256.ts';

/** Wires `bkvctl guard rebuild`: the new, empty guard of a replica that does not run, etcd, and the other replicas. */
export async function rebuildOwnGuard(config: Config): Promise<{ rebuilt: number; left: number }> {
  const { statement, self } = readStatement(config);
  const { fleet, threshold, replicas, document } = statement;
  const { guardIncarnation: incarnation, index } = self;
  const store = await GuardStore.open(config.guard, { fleet, replica: index, incarnation });
  const etcd = new Etcd({ ...config.etcd, prefix: `/bkv/${fleet}/` });
  const peers = config.peers.map((peer) => connectPeer({ fleet, ...peer, tls: config.tls.peer }));
  try {
    const register = new Register(etcd, document.store_incarnation, systemClock);
    const needed = replicas.length - threshold + 1;
    const grants = new GrantVerifier(readTenantKeys(config), systemClock);
    const verifying = { statement, receiptKeys: receiptKeys(statement), grants, clock: systemClock };
    return await rebuildGuard({ index, store, register, peers, needed, ...verifying });
  } finally {
    for (const peer of peers) peer.close();
    etcd.close();
    await store.close();
  }
}
