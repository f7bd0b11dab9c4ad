import graphene from 'graphene-pk11';
import { VaultError } from '../../../primitives/errors.ts';
import type { Profile } from '../profile.ts';
import { CKM } from './mechanisms.ts';
import { attempt, initialised, initialiseOptions, quietly } from './module.ts';

export interface SlotReport {
  readonly id: number;
  readonly description: string;
  readonly label: string;
  readonly manufacturer: string;
  readonly model: string;
  readonly serial: string;
  readonly initialised: boolean;
  /** Has it a user's PIN? NSS softokn has a slot for what needs none. */
  readonly hasPin: boolean;
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
export function inspectModule(path: string, parameters?: string): ModuleReport {
  const module = load(path);
  initialised(() => module.initialize(initialiseOptions(parameters)));
  try {
    const slots = attempt('C_GetSlotList', () => module.getSlots(true));
    return {
      library: module.libraryDescription.trim(),
      version: `${module.libraryVersion.major}.${module.libraryVersion.minor}`,
      slots: Array.from({ length: slots.length }, (_, i) => report(slots.items(i))),
    };
  } finally {
    quietly(() => module.finalize());
  }
}

/** Throws TOKEN_UNFIT naming the mechanisms that the vault needs and the token does not list. */
export function requireMechanisms(slot: SlotReport, profile: Profile): void {
  const missing = missingMechanisms(slot, profile);
  if (missing.length > 0) throw new VaultError('TOKEN_UNFIT', `Token ${slot.label} does not list ${missing.join(', ')}.`);
}

export function missingMechanisms({ mechanisms }: Pick<SlotReport, 'mechanisms'>, profile: Profile): string[] {
  const { wrap, rawEcdh, sessionSuite } = profile;
  const needed: Record<string, number> = {
    ...neededByAll,
    ...(sessionSuite === 'A' ? { AES_CBC_ENCRYPT_DATA } : {}),
    'wrapping of EC private keys': wrap.ecPrivateKey,
    'wrapping of secrets': wrap.secret,
    ...(rawEcdh === 'wrap-and-decrypt' ? { 'wrapping of derived values': wrap.derived } : {}),
  };
  const missing = Object.entries(needed).filter(([, mechanism]) => !mechanisms.includes(mechanism));
  return missing.map(([name, mechanism]) => `${name} (0x${mechanism.toString(16)})`);
}

const {
  AES_ECB: _forProbesOnly,
  AES_CBC: _whereTheProfileSays,
  EC_EDWARDS_KEY_PAIR_GEN: _forParties,
  EDDSA: _forPartiesToo,
  RSA_PKCS_KEY_PAIR_GEN: _ofHeirs,
  RSA_PKCS_OAEP: _forHeirs,
  AES_CBC_ENCRYPT_DATA,
  ...neededByAll
} = CKM;

function load(path: string): graphene.Module {
  try {
    return graphene.Module.load(path);
  } catch (cause) {
    throw new VaultError('MODULE_MISSING', `The PKCS#11 module ${path} cannot be loaded: ${(cause as Error).message}`, { cause });
  }
}

function report(slot: graphene.Slot): SlotReport {
  const token = attempt('C_GetTokenInfo', () => slot.getToken());
  const mechanisms = attempt('C_GetMechanismList', () => slot.getMechanisms());
  return {
    id: Number(slot.handle.readBigUInt64LE()),
    description: slot.slotDescription.trim(),
    label: token.label.trim(),
    manufacturer: token.manufacturerID.trim(),
    model: token.model.trim(),
    serial: token.serialNumber.trim(),
    initialised: (token.flags & graphene.TokenFlag.TOKEN_INITIALIZED) !== 0,
    hasPin: (token.flags & graphene.TokenFlag.USER_PIN_INITIALIZED) !== 0,
    mechanisms: Array.from({ length: mechanisms.length }, (_, i) => mechanisms.items(i).type).sort((a, b) => a - b),
  };
}
