import { systemClock } from '../primitives/clock.ts';
import { isVaultError, VaultError } from '../primitives/errors.ts';
import type { SecretBytes } from '../primitives/secret-bytes.ts';
import type { Config } from './config.ts';
import { readPin, readStatement } from './inputs.ts';
import { Etcd } from './ledger/etcd.ts';
import { GuardStore } from './ledger/guard-store.ts';
import { Register } from './ledger/register.ts';
import { type FoundGeneration, recordsServed, storedGenerations } from './ledger/stored-generations.ts';
import { FIRST_SET, inForce, isComplete, type KeySet } from './token/keys/key-sets.ts';
import { destroyKeySets, type Provisioned, readKeySets, rotateKeys } from './token/keys/provision.ts';
import type { ReplicaLocation } from './token/keys/replica.ts';
import { initParametersFor, loadProfile, modulePath } from './token/profile.ts';

// Wires `bkvctl keys`: the token of a replica, its guard, and etcd.

/** Where the keys of a configured replica are. */
export function locationOf(config: Config, owner: { readonly fleet: string; readonly epoch: number }): ReplicaLocation {
  const { label, directory } = config.token;
  const profile = loadProfile(config.token.profile);
  return {
    ...{ profile, module: modulePath(profile, config.token.module), initParameters: initParametersFor(profile, { directory, label }) },
    ...{ tokenLabel: label, fleet: owner.fleet, index: config.replica, epoch: owner.epoch },
  };
}

/** Makes the set for the statement of `epoch`, which is to come. Throws CONFIG_INVALID where that is not after the one in force. */
export function rotateOwnKeys(config: Config, epoch: number): Provisioned {
  const { statement } = readStatement(config);
  if (epoch <= statement.epoch)
    throw new VaultError('CONFIG_INVALID', `Keys are made for an epoch to come; the statement in force is of epoch ${statement.epoch}.`);
  return rotateKeys({ ...locationOf(config, { fleet: statement.fleet, epoch }), pin: readPin(config).pin });
}

type Needs = Record<FoundGeneration['where'], number>;

export interface ListedSet {
  readonly set: number;
  readonly state: 'to come' | 'in force' | 'older';
  /** `part`: what an interruption left, which opens nothing. */
  readonly keys: 'all' | 'part';
  /** Generations that only this set opens. */
  readonly needed: Needs;
}

export interface OwnKeys {
  readonly epoch: number;
  readonly sets: readonly ListedSet[];
  /** Generations whose keys were destroyed. */
  readonly lost: Needs;
  /** Why the guard was not looked into: a replica that runs has it open. */
  readonly guardNotRead: string | undefined;
}

/** What sets of keys the token holds, and what still needs each. */
export function listOwnKeys(config: Config): Promise<OwnKeys> {
  return withOwn(config, async ({ epoch, location, pin, register, openGuard }) => {
    const sets = readKeySets(location, pin);
    const serving = inForce(sets, epoch)?.number ?? FIRST_SET;
    const guard = await openGuard().catch(whyNot);
    const count = new Map<number | undefined, Needs>();
    const store = guard instanceof GuardStore ? guard : undefined;
    for await (const generation of storedGenerations(store, register, config.replica)) {
      const set = inForce(sets, generation.epoch)?.number;
      const needs = count.get(set) ?? none();
      needs[generation.where]++;
      count.set(set, needs);
    }
    const list = (set: KeySet): ListedSet => ({
      set: set.number,
      state: set.number === serving ? 'in force' : set.number < serving ? 'older' : 'to come',
      keys: isComplete(set) ? 'all' : 'part',
      needed: count.get(set.number) ?? none(),
    });
    return {
      epoch,
      sets: sets.map(list),
      lost: count.get(undefined) ?? none(),
      guardNotRead: guard instanceof GuardStore ? undefined : guard,
    };
  });
}

export interface Destruction {
  /** Sets older than the one in force for it go. */
  readonly epoch: number;
  /** Exactly how many records are given up. */
  readonly abandon: number;
}

/**
 * Destroys keys of a replica that does not run: those of all sets named, or nothing. Returns the numbers of the sets. Throws
 * CONFIG_INVALID, saying how many records need them, where these are not given up.
 */
export function destroyOwnKeys(config: Config, { epoch, abandon }: Destruction): Promise<number[]> {
  return withOwn(config, async (own) => {
    const { location, pin, register, openGuard } = own;
    if (epoch > own.epoch)
      throw new VaultError('CONFIG_INVALID', `The statement in force is of epoch ${own.epoch}: keys are not destroyed for a later one.`);
    const store = await openGuard();
    const sets = readKeySets(location, pin);
    const before = inForce(sets, epoch)?.number ?? FIRST_SET;
    const going = sets.filter(({ number }) => number < before);
    const needsThem = ({ epoch: of }: FoundGeneration) => going.includes(inForce(sets, of) as KeySet);
    const needed = (await recordsServed(storedGenerations(store, register, config.replica), register, needsThem)).size;
    if (needed !== abandon)
      throw new VaultError(
        'CONFIG_INVALID',
        `Records of replica ${config.replica} that need keys older than those of epoch ${epoch}: ${needed}; given up: ${abandon}. Nothing was destroyed: let them be enrolled again, or give up exactly so many.`,
      );
    destroyKeySets(location, pin, before);
    return going.map(({ number }) => number);
  });
}

interface Own {
  readonly epoch: number;
  readonly location: ReplicaLocation;
  readonly pin: SecretBytes;
  readonly register: Register;
  /** Throws GUARD_MISMATCH while the replica runs. */
  readonly openGuard: () => Promise<GuardStore>;
}

async function withOwn<T>(config: Config, work: (own: Own) => Promise<T>): Promise<T> {
  const { statement, self } = readStatement(config);
  const { fleet, epoch, document } = statement;
  const etcd = new Etcd({ ...config.etcd, prefix: `/bkv/${fleet}/` });
  let store: GuardStore | undefined;
  const openGuard = async () => {
    store = await GuardStore.open(config.guard, { fleet, replica: self.index, incarnation: self.guardIncarnation });
    return store;
  };
  try {
    const register = new Register(etcd, document.store_incarnation, systemClock);
    return await work({ epoch, location: locationOf(config, { fleet, epoch }), pin: readPin(config).pin, register, openGuard });
  } finally {
    etcd.close();
    await store?.close();
  }
}

function whyNot(error: unknown): string {
  if (isVaultError(error, 'GUARD_MISMATCH')) return error.message;
  throw error;
}

const none = (): Needs => ({ live: 0, prepared: 0, etcd: 0 });
