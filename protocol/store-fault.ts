/**
 * Why etcd takes no attempts. Each is a service of gRPC health beside the replica's own (`etcd.no_quorum`), a label of the metric
 * `bkv_store_fault`, and a paragraph of docs/OPERATIONS.md that says what to do.
 */
export const storeFaults = {
  no_quorum: 'etcd has no majority: too few of its members answer, or they have no leader',
  unreachable: 'no member of etcd answers',
  slow: 'etcd’s members answer, but take no write within its deadline',
  no_space: 'etcd has no space left: compact, defragment, then disarm its alarm',
  corrupt: 'etcd raised its alarm that members’ data differ',
  permission_denied: 'etcd refuses this replica: its user is missing, or lacks a role that reads and writes the fleet’s keys',
  authentication_failed: 'etcd wants to know its users, and this replica’s certificate names none',
  certificate_refused: 'the TLS certificate of etcd or of this replica is not accepted',
  compacted: 'etcd compacted a revision that was asked for, which this software never does',
} as const;

export type StoreFault = keyof typeof storeFaults;

export const allStoreFaults = Object.keys(storeFaults) as StoreFault[];

/** The health service that is NOT_SERVING while etcd has this fault. */
export const healthServiceOf = (fault: StoreFault): string => `etcd.${fault}`;
