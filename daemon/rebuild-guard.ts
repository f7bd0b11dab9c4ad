import { systemClock } from '../primitives/clock.ts';
import type { Config } from './config.ts';
import { readStatement, readTenantKeys } from './inputs.ts';
import { Etcd } from './ledger/etcd.ts';
import { GuardStore } from './ledger/guard-store.ts';
import { Register } from './ledger/register.ts';
import { openOwnToken } from './own-token.ts';
import { connectPeer } from './replica/peer.ts';
import { rebuildGuard } from './replica/rebuild-guard.ts';
import { GrantVerifier } from './vault/grants.ts';
import { receiptKeys } from './vault/p256.ts';

/** Wires `bkvctl guard rebuild`: the new, empty guard of a replica that does not run, its token, etcd, and the other replicas. */
export async function rebuildOwnGuard(config: Config): Promise<{ rebuilt: number; left: number }> {
  const { statement, self, peers: others } = readStatement(config);
  const { fleet, document } = statement;
  const { guardIncarnation: incarnation, index } = self;
  const undo: (() => unknown)[] = [];
  try {
    const store = await GuardStore.open(config.guard, { fleet, replica: index, incarnation });
    undo.push(() => store.close());
    const token = await openOwnToken(config, statement, () => {});
    undo.push(() => token.close());
    const etcd = new Etcd({ ...config.etcd, prefix: `/bkv/${fleet}/` });
    undo.push(() => etcd.close());
    const peers = others.map((peer) => connectPeer({ fleet, ...peer, tls: config.tls.peer }));
    for (const peer of peers) undo.push(() => peer.close());
    const register = new Register(etcd, document.store_incarnation, systemClock);
    const grants = new GrantVerifier(readTenantKeys(config), systemClock);
    const verifying = { statement, receiptKeys: receiptKeys(statement), grants, clock: systemClock };
    return await rebuildGuard({ index, store, register, token, peers, ...verifying });
  } finally {
    await Promise.allSettled(undo.reverse().map(async (step) => step()));
  }
}
