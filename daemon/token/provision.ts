import { VaultError } from '../../primitives/errors.ts';
import type { SecretBytes } from '../../primitives/secret-bytes.ts';
import { bootObject } from './boot-record.ts';
import { inspectModule, requireMechanisms, type SlotReport } from './inspect.ts';
import { type KeyRecord, readKeys } from './key-record.ts';
import { FIRST_SET, findKeySets, isComplete, type KeySet, keyLabel, keyNames } from './key-sets.ts';
import { allOrNothing, type MakeOptions, makeKeySet, makePair } from './make-keys.ts';
import { finalise, findSlot, type Module, openModule } from './module.ts';
import type { TokenIdentity } from './port.ts';
import { bootLabel, openReplica, openReplicaIn, type ReplicaLocation } from './replica.ts';
import { TokenSession } from './session.ts';

export interface Provisioned {
  readonly identity: TokenIdentity;
  /** Each key as the token describes it: for the fleet statement. */
  readonly keys: readonly KeyRecord[];
  /** What the token says it can do, by number, ascending. */
  readonly mechanisms: readonly number[];
}

// Not for a process that serves: each logs the application in and out, and finalises the module.

/** Makes a replica's keys in its token, or none. Refuses if any exists. */
export const provisionReplica = (options: MakeOptions): Provisioned =>
  makeIn(options, (module) => {
    const session = new TokenSession(module, findSlot(module, options.tokenLabel));
    session.login(options.profile.userType, options.pin);
    requireNoKeys(session, options);
    allOrNothing(session, (made) => {
      makeKeySet(session, options, FIRST_SET, made);
      makePair(session, 'receipt', options, FIRST_SET, made);
      made.push(session.create(bootObject(options.profile.bootRecord, bootLabel(options))));
    });
    session.close();
  });

/**
 * Makes the set of keys for the statement of `options.epoch` beside those that are there, or nothing. The epoch must be one that was
 * never served. Throws KEY_MISSING where no replica is, CONFIG_INVALID where that set is.
 */
export const rotateKeys = (options: MakeOptions): Provisioned =>
  makeIn(options, (module) => {
    const { epoch, pin } = options;
    const { session } = openReplicaIn(module, { ...options, epoch: epoch - 1 }, pin);
    const left = findKeySets(session, options).find(({ number }) => number === epoch);
    if (left && isComplete(left))
      throw new VaultError('CONFIG_INVALID', `The token holds the keys for epoch ${epoch} already: nothing was made.`);
    for (const { object } of left?.objects ?? []) session.destroy(object); // half a set, by a run that was cut off: nothing was stored with it
    allOrNothing(session, (made) => makeKeySet(session, options, epoch, made));
    session.close();
  });

/** A replica's keys that were made before, as their token describes them now: those in force. Throws KEY_MISSING. */
export function readReplica(location: ReplicaLocation, pin: SecretBytes): Provisioned {
  const slot = slotOf(location);
  return inModule(location, () => describe(location, pin, slot?.mechanisms ?? []));
}

/** Every set in the token. Throws KEY_MISSING if the one in force is not there. */
export const readKeySets = (location: ReplicaLocation, pin: SecretBytes): KeySet[] =>
  inModule(location, (module) => {
    const { session } = openReplicaIn(module, location, pin);
    return findKeySets(session, location);
  });

/**
 * Destroys the keys of every set before `before`, which must not be after the one in force: all of them, or those that open sessions.
 * The oldest first, so that what is left after a crash are the latest. Throws TOKEN_FAULT for what is still there afterwards.
 */
export const destroyKeySets = (location: ReplicaLocation, pin: SecretBytes, before: number, which: 'all' | 'session'): void =>
  inModule(location, (module) => {
    const { session, set } = openReplicaIn(module, location, pin);
    if (before > set) throw new VaultError('INTERNAL', `Set ${set} is in force: it is not destroyed.`);
    const find = () =>
      findKeySets(session, location)
        .filter(({ number }) => number < before)
        .flatMap(({ objects }) => objects)
        .filter(({ name }) => which === 'all' || name === 'session');
    for (const { object } of find()) session.destroy(object);
    const left = find().length;
    if (left > 0) throw new VaultError('TOKEN_FAULT', `The token was told to destroy keys, and ${left} of them are still there.`);
  });

function makeIn(options: MakeOptions, make: (module: Module) => void): Provisioned {
  const slot = slotOf(options);
  if (slot !== undefined) requireMechanisms(slot, options.profile);
  return inModule(options, (module) => {
    make(module);
    return describe(options, options.pin, slot?.mechanisms ?? []);
  });
}

const slotOf = ({ module, initParameters, tokenLabel }: ReplicaLocation): SlotReport | undefined =>
  inspectModule(module, initParameters).slots.find(({ label }) => label === tokenLabel);

function inModule<T>(location: ReplicaLocation, work: (module: Module) => T): T {
  const module = openModule(location.module, location.initParameters);
  try {
    return work(module);
  } finally {
    finalise(module);
  }
}

/** Opened as the daemon opens it: what is reported is what will be found. */
function describe(location: ReplicaLocation, pin: SecretBytes, mechanisms: readonly number[]): Provisioned {
  const replica = openReplica(location, pin);
  return { identity: replica.identity, keys: readKeys(replica), mechanisms };
}

function requireNoKeys(session: TokenSession, location: ReplicaLocation): void {
  for (const label of [...keyNames.map((name) => keyLabel(location, name, FIRST_SET)), bootLabel(location)])
    if (session.find({ label }, 1).length > 0)
      throw new VaultError('CONFIG_INVALID', `The token holds ${label} already: nothing was made. A replica’s keys are made once.`);
}
