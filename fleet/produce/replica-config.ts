import { stringify } from 'yaml';
import type { FleetPlan, Ports } from './fleet-plan.ts';
import { GRANT_KID } from './grant-key.ts';

export const listenOn = (port: number) => `127.0.0.1:${port}`;

/** By name: TLS has no server name for an address (RFC 6066 §3). */
export const connectTo = (port: number) => `localhost:${port}`;

/** The configuration that a replica's daemon reads (daemon/config.ts). Paths in it are relative to it. */
export function replicaConfig(index: number, plan: FleetPlan, etcdCa: string): string {
  const replica = { cert: 'tls/replica.crt', key: 'tls/replica.key' };
  const { frontend, peer, metrics } = plan.ports[index - 1] as Ports;
  const own = plan.ownTokens?.[index];
  const everyone = plan.ports.map((ports, i) => ({ index: i + 1, address: connectTo(ports.peer) }));
  return stringify({
    replica: index,
    statement: '../statement.json',
    listen: { frontend: listenOn(frontend), peer: listenOn(peer), metrics: listenOn(metrics) },
    tls: {
      frontend: { ...replica, ca: '../frontends-ca.crt' },
      peer: { ...replica, ca: '../replicas-ca.crt' },
    },
    peers: everyone.filter((other) => other.index !== index),
    etcd: {
      endpoints: [...plan.etcdEndpoints],
      tls: { cert: 'tls/etcd-client.crt', key: 'tls/etcd-client.key', ca: etcdCa },
    },
    token: {
      profile: plan.otherProfiles?.[index] ?? plan.profile,
      label: own?.label ?? `${plan.fleet}-${index}`,
      pin_file: own?.pinFile ?? 'pin',
    },
    guard: 'guard',
    tenants: [{ name: plan.tenant, grant_keys: [{ kid: GRANT_KID, file: '../tenant/grant.pub' }] }],
    ...plan.settings,
  });
}
