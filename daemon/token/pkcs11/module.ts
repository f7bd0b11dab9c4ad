import pkcs11js from 'pkcs11js';
import { VaultError } from '../../../primitives/errors.ts';
import type { Profile } from '../profile.ts';
import { CKR, returnValue, tokenError } from './failure.ts';

export type Module = pkcs11js.PKCS11;
export type SlotId = Buffer;

// CKF_OS_LOCKING_OK: pkcs11js passes 0 by default, and SoftHSM then runs without mutexes (four worker threads crash it).
const OS_LOCKING = 2;

/** Where a token's module is, and how it is started. */
export interface ModulePlace {
  readonly module: string;
  /** Its own string (pReserved), which only NSS is known to want. */
  readonly initParameters?: string | undefined;
  readonly profile: Pick<Profile, 'environment' | 'finalise'>;
}

/**
 * Sets the variables that a module reads, unless they are set: for whoever starts the thread that loads it. Modules read the environment of
 * the process, of which a worker thread has a copy only.
 */
export function setEnvironment({ environment = {} }: ModulePlace['profile']): void {
  for (const [name, value] of Object.entries(environment)) process.env[name] ??= value;
}

/** Loads and initialises a module. Another thread of this process may have initialised it already. `threads` call it at the same time. */
export function openModule(place: ModulePlace, threads = 1): Module {
  setEnvironment(place.profile);
  const module = new pkcs11js.PKCS11();
  try {
    module.load(place.module);
  } catch (cause) {
    throw new VaultError('MODULE_MISSING', `The PKCS#11 module ${place.module} cannot be loaded: ${(cause as Error).message}`, { cause });
  }
  initialise(module, place, threads);
  return module;
}

/** Loads a module, works with it, and finalises it: not for a process that serves. */
export function inModule<T>(place: ModulePlace, work: (module: Module) => T): T {
  const module = openModule(place);
  try {
    return work(module);
  } finally {
    finalise(module);
  }
}

/** Another thread may have done so. */
function initialise(module: Module, place: ModulePlace, threads: number): void {
  try {
    initialiseWith(module, place, OS_LOCKING);
  } catch (error) {
    if (returnValue(error) !== CKR.CANT_LOCK) throw error;
    // Some modules say so when they are started a second time. One thread needs no locks.
    if (threads > 1)
      throw new VaultError('TOKEN_UNFIT', 'The module has no locks for threads (CKR_CANT_LOCK): its profile must say `workers: 1`.', {
        cause: error,
      });
    initialiseWith(module, place, 0);
  }
}

function initialiseWith(module: Module, { initParameters }: ModulePlace, flags: number): void {
  try {
    // pkcs11js drops the last character of the string.
    module.C_Initialize(initParameters === undefined ? { flags } : { flags, libraryParameters: `${initParameters} ` });
  } catch (error) {
    if (returnValue(error) !== CKR.CRYPTOKI_ALREADY_INITIALIZED) throw tokenError(error, 'C_Initialize');
  }
}

/** Finalises the module, where its profile allows that, and initialises it again. No other thread may be in it: it ends all sessions of the process. */
export function initialiseAgain(module: Module, place: ModulePlace, threads: number): void {
  if (place.profile.finalise !== false) finalise(module);
  initialise(module, place, threads);
}

/** Gives the module back. What failed before is the error to report. */
export function finalise(module: Module): void {
  try {
    module.C_Finalize();
  } catch {
    // Another thread finalised it, or it was lost with the token: either way there is nothing left to give back.
  }
}

/** The slot of the one token with this label, and this serial number if given. Throws TOKEN_MISSING. */
export function findSlot(module: Module, label: string, serial?: string): SlotId {
  const slots = listTokens(module).filter(({ info }) => info.label === label && (serial === undefined || info.serial === serial));
  const [found, ...others] = slots;
  if (found === undefined) throw new VaultError('TOKEN_MISSING', `No slot holds a token labelled ${label}.`);
  if (others.length > 0)
    throw new VaultError('TOKEN_MISSING', `${slots.length} tokens are labelled ${label}: give the serial number, or rename all but one.`);
  return found.slot;
}

export interface TokenInfo {
  readonly label: string;
  readonly manufacturer: string;
  readonly model: string;
  readonly serial: string;
  readonly firmware: string;
}

export function tokenInfo(module: Module, slot: SlotId): TokenInfo {
  const info = attempt('C_GetTokenInfo', () => module.C_GetTokenInfo(slot));
  return {
    // Padded with blanks to a fixed length; some modules add a NUL.
    label: trim(info.label),
    manufacturer: trim(info.manufacturerID),
    model: trim(info.model),
    serial: trim(info.serialNumber),
    firmware: `${info.firmwareVersion.major}.${info.firmwareVersion.minor}`,
  };
}

/** Slots are unsigned longs, and some modules use all of their 64 bits. */
export const slotNumber = (slot: SlotId): bigint => slot.readBigUInt64LE();

function listTokens(module: Module): { slot: SlotId; info: TokenInfo }[] {
  const slots = attempt('C_GetSlotList', () => module.C_GetSlotList(true));
  return slots.map((slot) => ({ slot, info: tokenInfo(module, slot) }));
}

/** Runs one call into the module; what it throws becomes ours. */
export function attempt<T>(operation: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw tokenError(error, operation);
  }
}

const trim = (text: string): string => text.replace(/[\0 ]+$/, '');
