import type { FittingBundle } from '../../fleet/verify/published-bundle.ts';
import type { Events } from '../telemetry/events.ts';
import type { Vault } from '../vault/vault.ts';
import type { Participant } from './participant.ts';

/** What a coordinator works with: any replica may be one, for any call, and keeps nothing between two calls. */
export interface Fleet {
  readonly vault: Vault;
  /** Every replica of the statement, this one included, in order of index. */
  readonly participants: readonly Participant[];
  /** Replicas that hold their membership lease: a hint, for whom it is worth to wait. */
  readonly present: () => ReadonlySet<number>;
  /** etcd has room for new records. */
  readonly hasRoom: () => boolean;
  /** What clients are handed with the statement, where the operator published it. */
  readonly bundle: () => FittingBundle | undefined;
  readonly events: Events;
}
