import { VaultError } from '../../../primitives/errors.ts';
import type { SecretBytes } from '../../../primitives/secret-bytes.ts';
import { bootObject } from '../boot-record.ts';
import { inspectModule, requireMechanisms, type SlotReport } from '../pkcs11/inspect.ts';
import { findSlot, inModule, type Module } from '../pkcs11/module.ts';
import { type KeyHandle, TokenSession } from '../pkcs11/session.ts';
import type { TokenIdentity } from '../port.ts';
import { makeBequest } from './bequest.ts';
import type { Bequest, Heir } from './heir-files.ts';
import { type KeyRecord, readKeys } from './key-record.ts';
import { findKeySets, isComplete, type KeySet } from './key-sets.ts';
import { allOrNothing, bequeathKeySet, type MakeOptions, makeKeySet, makePair } from './make-keys.ts';
import { bootLabel, openReplica, openReplicaIn, type ReplicaLocation } from './replica.ts';
import { requireNoHeir, requireVacant } from './vacant.ts';

export interface Provisioned {
  readonly identity: TokenIdentity;
  /** Each key as the token describes it: for the fleet statement. */
  readonly keys: readonly KeyRecord[];
  /** What the token says it can do, by number, ascending. */
  readonly mechanisms: readonly number[];
}

// Not for a process that serves: each logs the application in and out, and finalises the module.

/** Makes a replica's keys for the statement of `options.epoch` in its token, or none. Refuses if it has any but inherited ones. */
export const provisionReplica = (options: MakeOptions): Provisioned =>
  makeIn(options, (module) => {
    const session = new TokenSession(module, findSlot(module, options.tokenLabel));
    session.login(options.profile.userType, options.pin);
    requireNoKeys(session, options);
    allOrNothing(session, (made) => {
      makeKeySet(session, options, options.epoch, made);
      makePair(session, 'receipt', options, options.epoch, made);
      made.push(session.create(bootObject(options.profile.bootRecord, bootLabel(options))));
    });
    session.close();
  });

/** A second token that gets a copy of a set, and where that is written before the set is kept. */
export interface Bequeathing {
  readonly heir: Heir;
  readonly write: (bequest: Bequest) => void;
}

/**
 * Makes the set of keys for the statement of `options.epoch` beside those that are there, or nothing. The epoch must be one that was
 * never served. Throws KEY_MISSING where no replica is, CONFIG_INVALID where that set is, or where the heir is another replica's.
 */
export const rotateKeys = (options: MakeOptions, bequeathing?: Bequeathing): Provisioned =>
  makeIn(options, (module) => {
    const { epoch, pin } = options;
    const { session } = openReplicaIn(module, { ...options, epoch: epoch - 1 }, pin);
    const left = findKeySets(session, options).find(({ number }) => number === epoch);
    if (left && isComplete(left))
      throw new VaultError('CONFIG_INVALID', `The token holds the keys for epoch ${epoch} already: nothing was made.`);
    for (const { object } of left?.objects ?? []) session.destroy(object); // half a set, by a run that was cut off: nothing was stored with it
    allOrNothing(session, (made) => {
      if (bequeathing) bequeath(module, session, options, made, bequeathing);
      else makeKeySet(session, options, epoch, made);
    });
    session.close();
  });

function bequeath(module: Module, session: TokenSession, options: MakeOptions, made: KeyHandle[], { heir, write }: Bequeathing): void {
  const { fleet, index, epoch } = options;
  if (heir.fleet !== fleet || heir.index !== index)
    throw new VaultError('CONFIG_INVALID', `The heir is one of replica ${heir.index} of ${heir.fleet}: nothing was made.`);
  const wrapped = bequeathKeySet(session, options, epoch, made, heir);
  const token = openReplicaIn(module, options, undefined);
  write(makeBequest(token, heir, wrapped));
  token.session.close();
}

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

/** Opened as the daemon opens it: what is reported is what will be found. */
function describe(location: ReplicaLocation, pin: SecretBytes, mechanisms: readonly number[]): Provisioned {
  const replica = openReplica(location, pin);
  return { identity: replica.identity, keys: readKeys(replica), mechanisms };
}

/** But for sets that the token inherited, which have to be older than its own. */
function requireNoKeys(session: TokenSession, location: ReplicaLocation): void {
  requireNoHeir(session, location);
  const last = requireVacant(session, location).at(-1)?.number ?? 0;
  if (last >= location.epoch)
    throw new VaultError(
      'CONFIG_INVALID',
      `The token inherited the keys of epoch ${last}: its own are made for a later one, not for epoch ${location.epoch}.`,
    );
}
