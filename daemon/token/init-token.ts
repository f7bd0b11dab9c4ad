import pkcs11js from 'pkcs11js';
import { VaultError } from '../../primitives/errors.ts';
import type { SecretBytes } from '../../primitives/secret-bytes.ts';
import { attempt, findSlot, type Module, openModule, type SlotId } from './module.ts';
import { TokenSession } from './session.ts';

const LABEL_LENGTH = 32; // C_InitToken reads exactly 32 bytes, whatever it is given

/**
 * Initialises a blank token: label, SO PIN, user PIN. In-process, since `softhsm2-util --pin` shows both PINs to every user of the
 * machine. Refuses a label that exists; never touches an initialised token.
 */
export function initToken(options: { module: string; label: string; soPin: SecretBytes; pin: SecretBytes }): void {
  const label = Buffer.from(options.label, 'utf8');
  if (label.length === 0 || label.length > LABEL_LENGTH)
    throw new VaultError('CONFIG_INVALID', `A token label has 1 to ${LABEL_LENGTH} bytes.`);
  const module = openModule(options.module);
  try {
    requireAbsent(module, options.label);
    const soPin = new TextDecoder().decode(options.soPin.expose());
    attempt('C_InitToken', () => module.C_InitToken(blankSlot(module), soPin, padded(options.label, label.length)));
    // SoftHSM gives the token another slot number now.
    const session = new TokenSession(module, findSlot(module, options.label));
    session.login(pkcs11js.CKU_SO, options.soPin);
    session.initPin(options.pin);
    session.logout();
    session.close();
  } finally {
    module.C_Finalize();
  }
}

const padded = (label: string, length: number): string => label + ' '.repeat(LABEL_LENGTH - length);

function requireAbsent(module: Module, label: string): void {
  try {
    findSlot(module, label);
  } catch {
    return;
  }
  throw new VaultError('CONFIG_INVALID', `A token labelled ${label} exists already: it is left alone.`);
}

function blankSlot(module: Module): SlotId {
  const slots = attempt('C_GetSlotList', () => module.C_GetSlotList(true));
  const blank = slots.find(
    (slot) => (attempt('C_GetTokenInfo', () => module.C_GetTokenInfo(slot)).flags & pkcs11js.CKF_TOKEN_INITIALIZED) === 0,
  );
  if (blank === undefined) throw new VaultError('TOKEN_MISSING', 'No slot holds a blank token.');
  return blank;
}
