/** Why a replica does not serve though token and etcd do; said like theirs (store-fault.ts). The metric is `bkv_guard_fault`. */
export const guardFault = {
  service: 'guard.failing',
  meaning: 'the guard on this replica’s disk cannot be opened or read: the disk is full, or fails',
} as const;
