import graphene from 'graphene-pk11';
import { VaultError } from '../../primitives/errors.ts';
import { CKM } from './mechanisms.ts';
import { OS_LOCKING } from './module.ts';
import type { Profile } from './profile.ts';

export interface SlotReport {
  readonly description: string;
  readonly label: string;
  readonly model: string;
  readonly serial: string;
  readonly initialised: boolean;
  /** By number, ascending. */
  readonly mechanisms: readonly number[];
}

export interface ModuleReport {
  readonly library: string;
  readonly version: string;
  readonly slots: readonly SlotReport[];
}

/**
 * What a module and its tokens say of themselves, without logging in: for operators, and before provisioning. Not for a process that
 * serves, since it finalises the module.
 */
export function inspectModule(path: string): ModuleReport {
  const module = load(path);
  try {
    module.initialize(OS_LOCKING);
    const slots = module.getSlots(true);
    return {
      library: module.libraryDescription.trim(),
      version: `${module.libraryVersion.major}.${module.libraryVersion.minor}`,
      slots: Array.from({ length: slots.length }, (_, i) => report(slots.items(i))),
    };
  } finally {
    module.finalize();
  }
}

/** Throws TOKEN_UNFIT naming the mechanisms that the vault needs and the token does not list. */
export function requireMechanisms(slot: SlotReport, profile: Profile): void {
  const needed = { ...neededByAll, 'wrapping of EC private keys': profile.wrap.ecPrivateKey, 'wrapping of secrets': profile.wrap.secret };
  const missing = Object.entries(needed).filter(([, mechanism]) => !slot.mechanisms.includes(mechanism));
  if (missing.length === 0) return;
  const names = missing.map(([name, mechanism]) => `${name} (0x${mechanism.toString(16)})`);
  throw new VaultError('TOKEN_UNFIT', `Token ${slot.label} does not list ${names.join(', ')}.`);
}

const { AES_ECB: _forProbesOnly, ...neededByAll } = CKM;

function load(path: string): graphene.Module {
  try {
    return graphene.Module.load(path);
  } catch (cause) {
    throw new VaultError('MODULE_MISSING', `The PKCS#11 module ${path} cannot be loaded: ${(cause as Error).message}`, { cause });
  }
}

function report(slot: graphene.Slot): SlotReport {
  const token = slot.getToken();
  const mechanisms = slot.getMechanisms();
  return {
    description: slot.slotDescription.trim(),
    label: token.label.trim(),
    model: token.model.trim(),
    serial: token.serialNumber.trim(),
    initialised: (token.flags & graphene.TokenFlag.TOKEN_INITIALIZED) !== 0,
    mechanisms: Array.from({ length: mechanisms.length }, (_, i) => mechanisms.items(i).type).sort((a, b) => a - b),
  };
}
