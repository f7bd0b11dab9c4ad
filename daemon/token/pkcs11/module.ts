import pkcs11js from 'pkcs11js';
import { VaultError } from '../../../primitives/errors.ts';
import { CKR, returnValue, tokenError } from './failure.ts';

export type Module = pkcs11js.PKCS11;
export type SlotId = Buffer;

// CKF_OS_LOCKING_OK: pkcs11js passes 0 by default, and SoftHSM then runs without mutexes (four worker threads crash it).
const OS_LOCKING = { flags: 2 };

export interface InitialiseOptions {
  readonly flags: number;
  readonly libraryParameters?: string;
}

/** What C_Initialize gets. `parameters` is a module's own string (pReserved), which only NSS is known to want. */
export const initialiseOptions = (parameters?: string): InitialiseOptions =>
  // pkcs11js drops the last character of the string.
  parameters === undefined ? OS_LOCKING : { ...OS_LOCKING, libraryParameters: `${parameters} ` };

/** Loads and initialises a module. Another thread of this process may have initialised it already. */
export function openModule(path: string, parameters?: string): Module {
  const module = new pkcs11js.PKCS11();
  try {
    module.load(path);
  } catch (cause) {
    throw new VaultError('MODULE_MISSING', `The PKCS#11 module ${path} cannot be loaded: ${(cause as Error).message}`, { cause });
  }
  initialise(module, parameters);
  return module;
}

/** Loads a module, works with it, and finalises it: not for a process that serves. */
export function inModule<T>(
  { module: path, initParameters }: { module: string; initParameters?: string | undefined },
  work: (module: Module) => T,
): T {
  const module = openModule(path, initParameters);
  try {
    return work(module);
  } finally {
    finalise(module);
  }
}

const initialise = (module: Module, parameters?: string): void => initialised(() => module.C_Initialize(initialiseOptions(parameters)));

/** Calls C_Initialize; another thread may have done so. */
export function initialised(call: () => void): void {
  try {
    call();
  } catch (error) {
    if (returnValue(error) !== CKR.CRYPTOKI_ALREADY_INITIALIZED) throw tokenError(error, 'C_Initialize');
  }
}

/** Finalises the module and initialises it again. No other thread may be in it: it ends all sessions of the process. */
export function initialiseAgain(module: Module, parameters?: string): void {
  finalise(module);
  initialise(module, parameters);
}

/** Gives the module back. What failed before is the error to report. */
export const finalise = (module: Module): void => quietly(() => module.C_Finalize());

export function quietly(giveBack: () => void): void {
  try {
    giveBack();
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
