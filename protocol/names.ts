// The names that certificates carry: a replica's has both of its own, a frontend's has its tenant's.

/** DNS name by which replicas know each other, whatever address they listen on. */
export const replicaHost = (fleet: string, index: number): string => `replica-${index}.${fleet}.bkv`;

export const replicaUri = (fleet: string, index: number): string => `bkv://fleet/${fleet}/replica/${index}`;

export const tenantUri = (tenant: string): string => `bkv://tenant/${tenant}`;

export const parseTenantUri = (uri: string): string | undefined => /^bkv:\/\/tenant\/([a-z0-9][a-z0-9-]{0,62})$/.exec(uri)?.[1];
