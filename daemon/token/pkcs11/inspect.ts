import graphene from 'graphene-pk11';
import { VaultError } from '../../../primitives/errors.ts';
import type { Profile } from '../profile.ts';
import { CKM } from './mechanisms.ts';
import { attempt, inModule, type Module, type ModulePlace, slotNumber } from './module.ts';

export interface SlotReport {
  readonly id: bigint;
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
export const inspectModule = (place: ModulePlace): ModuleReport =>
  inModule(place, (module) => {
    const { libraryDescription, libraryVersion } = attempt('C_GetInfo', () => module.C_GetInfo());
    const slots = attempt('C_GetSlotList', () => new graphene.Module(module).getSlots(true));
    return {
      library: libraryDescription.trim(),
      version: `${libraryVersion.major}.${libraryVersion.minor}`,
      slots: Array.from({ length: slots.length }, (_, i) => report(module, slots.items(i))),
    };
  });

/** Throws TOKEN_UNFIT naming the mechanisms that the vault needs and the token does not list. */
export function requireMechanisms(slot: SlotReport, profile: Profile): void {
  const missing = missingMechanisms(slot, profile);
  if (missing.length > 0) throw new VaultError('TOKEN_UNFIT', `Token ${slot.label} does not list ${missing.join(', ')}.`);
}

/** Each with its number, and the field of the profile that names it. */
export function missingMechanisms({ mechanisms }: Pick<SlotReport, 'mechanisms'>, { hmac, readout }: Profile): string[] {
  const needed: Record<string, number> = {
    EC_KEY_PAIR_GEN: CKM.EC_KEY_PAIR_GEN,
    ECDSA: CKM.ECDSA,
    ECDH1_DERIVE: CKM.ECDH1_DERIVE,
    SHA256_HMAC: CKM.SHA256_HMAC,
    'hmac.generate': hmac.generate,
    ...readoutMechanisms(readout),
  };
  const missing = Object.entries(needed).filter(([, mechanism]) => !mechanisms.includes(mechanism));
  return missing.map(([name, mechanism]) => `${name} (0x${mechanism.toString(16)})`);
}

function readoutMechanisms(readout: Profile['readout']): Record<string, number> {
  switch (readout.way) {
    case 'read':
      return {};
    case 'wrap-decrypt':
      return { AES_KEY_GEN: CKM.AES_KEY_GEN, 'readout.wrap': readout.wrap, 'readout.decrypt': readout.decrypt };
    case 'oaep':
      return { RSA_PKCS_OAEP: CKM.RSA_PKCS_OAEP };
  }
}

function report(module: Module, slot: graphene.Slot): SlotReport {
  const token = attempt('C_GetTokenInfo', () => slot.getToken());
  // Not by graphene, which asks for more of each mechanism than its number: some tokens list what they then do not know.
  const mechanisms = attempt('C_GetMechanismList', () => module.C_GetMechanismList(slot.handle));
  return {
    id: slotNumber(slot.handle),
    description: slot.slotDescription.trim(),
    label: token.label.trim(),
    manufacturer: token.manufacturerID.trim(),
    model: token.model.trim(),
    serial: token.serialNumber.trim(),
    initialised: (token.flags & graphene.TokenFlag.TOKEN_INITIALIZED) !== 0,
    hasPin: (token.flags & graphene.TokenFlag.USER_PIN_INITIALIZED) !== 0,
    mechanisms: mechanisms.sort((a, b) => a - b),
  };
}
