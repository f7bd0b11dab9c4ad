import pkcs11js from 'pkcs11js';
import { VaultError } from '../../../primitives/errors.ts';
import { SecretBytes } from '../../../primitives/secret-bytes.ts';
import { attempt, findSlot, inModule, type Module, type SlotId } from '../pkcs11/module.ts';
import { TokenSession } from '../pkcs11/session.ts';
import type { Profile } from '../profile.ts';

const LABEL_LENGTH = 32; // C_InitToken reads exactly 32 bytes, whatever it is given

interface InitOptions {
  readonly module: string;
  readonly initParameters?: string | undefined;
  readonly profile: Pick<Profile, 'initialise' | 'environment'>;
  readonly label: string;
  /** Unused by `init-pin`: such a token has no officer, whoever comes first sets the PIN. */
  readonly soPin: SecretBytes;
  readonly pin: SecretBytes;
}

/**
 * Initialises a blank token: label, SO PIN, user PIN. In-process, since `softhsm2-util --pin` shows both PINs to every user of the
 * machine. Refuses a label that exists; never touches an initialised token.
 */
export function initToken(options: InitOptions): void {
  const { initialise } = options.profile;
  if (initialise === 'by-vendor')
    throw new VaultError('CONFIG_INVALID', 'Tokens of this profile are initialised with the vendor’s own tools.');
  const label = Buffer.from(options.label, 'utf8');
  if (label.length === 0 || label.length > LABEL_LENGTH)
    throw new VaultError('CONFIG_INVALID', `A token label has 1 to ${LABEL_LENGTH} bytes.`);
  inModule(options, (module) => {
    if (initialise === 'init-token') {
      requireAbsent(module, options.label);
      const soPin = new TextDecoder().decode(options.soPin.expose());
      attempt('C_InitToken', () => module.C_InitToken(blankSlot(module), soPin, padded(options.label, label.length)));
      // SoftHSM gives the token another slot number now.
      initPin(module, options, options.soPin);
    } else {
      requireBlank(module, options.label);
      initPin(module, options, new SecretBytes(new Uint8Array(0)));
    }
  });
}

function initPin(module: Module, { label, pin }: InitOptions, soPin: SecretBytes): void {
  const session = new TokenSession(module, findSlot(module, label));
  session.login(pkcs11js.CKU_SO, soPin);
  session.initPin(pin);
  session.logout();
  session.close();
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

function requireBlank(module: Module, label: string): void {
  if (isInitialised(module, findSlot(module, label)))
    throw new VaultError('CONFIG_INVALID', `The token labelled ${label} has a PIN already: it is left alone.`);
}

const isInitialised = (module: Module, slot: SlotId): boolean =>
  (attempt('C_GetTokenInfo', () => module.C_GetTokenInfo(slot)).flags & pkcs11js.CKF_TOKEN_INITIALIZED) !== 0;

function blankSlot(module: Module): SlotId {
  const slots = attempt('C_GetSlotList', () => module.C_GetSlotList(true));
  const blank = slots.find((slot) => !isInitialised(module, slot));
  if (blank === undefined) throw new VaultError('TOKEN_MISSING', 'No slot holds a blank token.');
  return blank;
}
