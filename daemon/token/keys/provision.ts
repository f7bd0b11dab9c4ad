import { VaultError } from '../../../primitives/errors.ts';
import type { SecretBytes } from '../../../primitives/secret-bytes.ts';
import { bootObject } from '../boot-record.ts';
import { inspectModule, requireMechanisms, type SlotReport } from '../pkcs11/inspect.ts';
import { findSlot, inModule, type Module } from '../pkcs11/module.ts';
import { type KeyHandle, TokenSession } from '../pkcs11/session.ts';
import type { TokenIdentity } from '../port.ts';
import { selfTest } from '../self-test.ts';
import { type KeyRecord, readKeys } from './key-record.ts';
import { FIRST_SET, findKeySets, isComplete, type KeySet, keyLabel } from './key-sets.ts';
import { allOrNothing, destroyQuietly, type MakeOptions, makeKeySet, makeOwn } from './make-keys.ts';
import { bootLabel, openReplicaIn, type ReplicaLocation, type ReplicaToken } from './replica.ts';

export interface Provisioned {
  readonly identity: TokenIdentity;
  /** Each key as the token describes it: for the fleet statement. */
  readonly keys: readonly KeyRecord[];
  /** What the token says it can do, by number, ascending. */
  readonly mechanisms: readonly number[];
}

// Not for a process that serves: each logs the application in and out, and finalises the module.

/**
 * Makes a replica's keys for the statement of `options.epoch` in its token, or none. Refuses if it has any. Throws TOKEN_UNFIT where the
 * keys, opened anew as a daemon opens them, do not pass its self-test.
 */
export const provisionReplica = (options: MakeOptions): Provisioned =>
  makeIn(options, {
    make: (module) => {
      const session = logIn(module, options);
      requireVacant(session, options);
      allOrNothing(session, (made) => {
        makeKeySet(session, options, options.epoch, made);
        made.push(...makeOwn(session, options, 'receipt', options.epoch));
        made.push(session.create(bootObject(options.profile, bootLabel(options))));
      });
      session.close();
    },
    unmake: (session) => destroyQuietly(session, [...objectsOfSet(session, options), ...objectsThatStay(session, options)]),
  });

/**
 * Makes the set of keys for the statement of `options.epoch` beside those that are there, or nothing. The epoch must be one that was
 * never served. Throws KEY_MISSING where no replica is, CONFIG_INVALID where that set is, TOKEN_UNFIT as `provisionReplica` does.
 */
export const rotateKeys = (options: MakeOptions): Provisioned =>
  makeIn(options, {
    make: (module) => {
      const { epoch, pin } = options;
      const { session } = openReplicaIn(module, { ...options, epoch: epoch - 1 }, pin);
      const left = findKeySets(session, options).find(({ number }) => number === epoch);
      if (left && isComplete(left))
        throw new VaultError('CONFIG_INVALID', `The token holds the keys for epoch ${epoch} already: nothing was made.`);
      for (const { object } of left?.objects ?? []) session.destroy(object); // half a set, by a run that was cut off: nothing was stored with it
      allOrNothing(session, (made) => makeKeySet(session, options, epoch, made));
      session.close();
    },
    unmake: (session) => destroyQuietly(session, objectsOfSet(session, options)),
  });

/** A replica's keys that were made before, as their token describes them now: those in force. Throws KEY_MISSING. */
export function readReplica(location: ReplicaLocation, pin: SecretBytes): Provisioned {
  const slot = slotOf(location);
  return inModule(location, (module) => describe(openReplicaIn(module, location, pin), slot));
}

/** Every set in the token. Throws KEY_MISSING if the one in force is not there. */
export const readKeySets = (location: ReplicaLocation, pin: SecretBytes): KeySet[] =>
  inModule(location, (module) => {
    const { session } = openReplicaIn(module, location, pin);
    return findKeySets(session, location);
  });

/**
 * Destroys the keys of every set before `before`, which must not be after the one in force. The oldest first, so that what is left after a
 * crash are the latest. Throws TOKEN_FAULT for what is still there afterwards.
 */
export const destroyKeySets = (location: ReplicaLocation, pin: SecretBytes, before: number): void =>
  inModule(location, (module) => {
    const { session, set } = openReplicaIn(module, location, pin);
    if (before > set) throw new VaultError('INTERNAL', `Set ${set} is in force: it is not destroyed.`);
    const find = () =>
      findKeySets(session, location)
        .filter(({ number }) => number < before)
        .flatMap(({ objects }) => objects);
    for (const { object } of find()) session.destroy(object);
    const left = find().length;
    if (left > 0) throw new VaultError('TOKEN_FAULT', `The token was told to destroy keys, and ${left} of them are still there.`);
  });

interface Work {
  readonly make: (module: Module) => void;
  /** Takes away what `make` made. */
  readonly unmake: (session: TokenSession) => void;
}

/** Accepts what was made by the same objects that will serve: closed, opened anew, and used. */
function makeIn(options: MakeOptions, { make, unmake }: Work): Provisioned {
  const slot = slotOf(options);
  if (slot !== undefined) requireMechanisms(slot, options.profile);
  inModule(options, make);
  return inModule(options, (module) => {
    try {
      const replica = openReplicaIn(module, options, options.pin);
      selfTest(replica);
      return describe(replica, slot);
    } catch (error) {
      undo(() => unmake(logIn(module, options)));
      throw error;
    }
  });
}

/** Why it was not accepted is the error to report. */
function undo(unmake: () => void): void {
  try {
    unmake();
  } catch {
    // Provisioning refuses what is still there.
  }
}

function logIn(module: Module, { tokenLabel, profile, pin }: MakeOptions): TokenSession {
  const session = new TokenSession(module, findSlot(module, tokenLabel));
  session.login(profile.userType, pin);
  return session;
}

const slotOf = (location: ReplicaLocation): SlotReport | undefined =>
  inspectModule(location).slots.find(({ label }) => label === location.tokenLabel);

const describe = (replica: ReplicaToken, slot: SlotReport | undefined): Provisioned => ({
  identity: replica.identity,
  keys: readKeys(replica),
  mechanisms: slot?.mechanisms ?? [],
});

const objectsOfSet = (session: TokenSession, options: MakeOptions): KeyHandle[] =>
  findKeySets(session, options)
    .filter(({ number }) => number === options.epoch)
    .flatMap(({ objects }) => objects.map(({ object }) => object));

/** What is made once: the receipt key and the boot record. */
const objectsThatStay = (session: TokenSession, options: MakeOptions): KeyHandle[] =>
  [keyLabel(options, 'receipt', FIRST_SET), bootLabel(options)].flatMap((label) => session.find({ label, token: true }, 8));

/** Throws CONFIG_INVALID where the token holds anything of this replica. */
function requireVacant(session: TokenSession, options: MakeOptions): void {
  if (objectsThatStay(session, options).length > 0 || findKeySets(session, options).length > 0)
    throw new VaultError(
      'CONFIG_INVALID',
      `The token holds keys of replica ${options.index} of ${options.fleet} already: nothing was made.`,
    );
}
