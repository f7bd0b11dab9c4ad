import { join } from 'node:path';
import type { Millis } from '../../primitives/brand.ts';
import { VaultError } from '../../primitives/errors.ts';
import type { EtcdTls } from './etcd-tls.ts';
import type { Provisioned } from './token-reading.ts';

/** The loopback ports of one replica. */
export interface Ports {
  readonly frontend: number;
  readonly peer: number;
  readonly metrics: number;
}

/** The daemon's settings that a development fleet may choose; its own defaults otherwise. Names as in its configuration. */
export interface DaemonSettings {
  readonly bounds?: { readonly limit_most?: number; readonly cool_down_least_ms?: Millis };
  readonly erase_grace_ms?: Millis;
  readonly ticket_life_ms?: Millis;
  readonly sweep_interval_ms?: Millis;
  readonly bundle_interval_ms?: Millis;
  readonly log_level?: 'error' | 'warn' | 'info' | 'debug';
}

/** Files of one replica. All of them are in `directory`. */
export interface ReplicaPlace {
  readonly fleet: string;
  readonly index: number;
  readonly directory: string;
  readonly config: string;
}

/** A token that its vendor's tools initialised: a real HSM in a development fleet. */
export interface OwnToken {
  readonly label: string;
  /** Its user PIN. */
  readonly pinFile: string;
}

export function placeOf(fleetDirectory: string, fleet: string, index: number): ReplicaPlace {
  const directory = join(fleetDirectory, `replica-${index}`);
  return { fleet, index, directory, config: join(directory, 'config.yaml') };
}

export interface FleetPlan {
  /** Must not exist; its parent must. */
  readonly directory: string;
  readonly fleet: string;
  readonly tenant: string;
  readonly threshold: number;
  /** One for each replica, in the order of their indices. */
  readonly ports: readonly Ports[];
  readonly etcdEndpoints: readonly string[];
  /** The certificates of an etcd that is there already; without it they are made in `directory`/etcd. */
  readonly etcdTls?: EtcdTls;
  /** By index: who runs the replica. The others are run by one, who is called as the fleet. */
  readonly operators?: Readonly<Record<number, string>>;
  /** A file of hsm-config/ without its ending, or a path. */
  readonly profile: string;
  /** By index: of replicas whose token is of another kind. */
  readonly otherProfiles?: Readonly<Record<number, string>>;
  /** By index: of replicas whose token is there already, without keys. The others' are made. */
  readonly ownTokens?: Readonly<Record<number, OwnToken>>;
  readonly settings: DaemonSettings;
  readonly software: { readonly version: string; readonly digest: string };
  /**
   * Makes keys and guard of a replica whose configuration, PINs and certificates are in place; and its token before, where there is a
   * PIN for the token's security officer.
   */
  readonly provision: (place: ReplicaPlace, soPinFile: string | undefined) => Promise<Provisioned>;
  /** Told each step before it begins. */
  readonly progress: (step: string) => void;
  readonly now: Millis;
}

/** Throws CONFIG_INVALID before anything is made, for what would fail only later and less clearly. */
export function checkPlan({ fleet, tenant, threshold, ports, operators = {}, otherProfiles = {}, ownTokens = {} }: FleetPlan): void {
  const n = ports.length;
  const strangers = Object.keys({ ...operators, ...otherProfiles, ...ownTokens }).filter(
    (index) => !(Number(index) >= 1 && Number(index) <= n),
  );
  // 29: with "-<i>" it is the label of a token, for which PKCS #11 has 32 bytes.
  if (!/^[a-z0-9][a-z0-9-]{0,28}$/.test(fleet)) throw invalid(`the fleet's name "${fleet}" must be 1 to 29 of a-z, 0-9 and -`);
  if (!/^[a-z0-9][a-z0-9-]{0,62}$/.test(tenant)) throw invalid(`the tenant's name "${tenant}" must be 1 to 63 of a-z, 0-9 and -`);
  if (n < 3 || n > 9) throw invalid(`a fleet has 3 to 9 replicas, not ${n}`);
  if (threshold <= n / 2 || threshold > n)
    throw invalid(`the threshold of ${n} replicas is ${Math.floor(n / 2) + 1} to ${n}, not ${threshold}`);
  if (strangers.length > 0)
    throw invalid(`there is no replica ${strangers.join(', ')} to have an operator, a profile or a token of its own`);
  for (const operator of Object.values(operators))
    if (!/^[a-z0-9][a-z0-9.-]{0,62}$/.test(operator))
      throw invalid(`the operator's name "${operator}" must be 1 to 63 of a-z, 0-9, . and -`);
}

const invalid = (why: string) => new VaultError('CONFIG_INVALID', `No fleet was made: ${why}.`);
