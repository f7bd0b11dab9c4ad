import { constantTimeEqual } from '../../primitives/bytes.ts';
import { isVaultError, VaultError } from '../../primitives/errors.ts';
import type { SecretBytes } from '../../primitives/secret-bytes.ts';
import { WorkerFailure } from './messages.ts';

/** Reads the PIN where it is kept, each time anew. Who calls it wipes what it returns. */
export type PinSource = () => SecretBytes;

/** Lets the PIN be used for one login at a time, so that between logins no copy of it is held here. */
export class PinReader {
  readonly #source: PinSource;
  /** Not tried again: a few more attempts would lock it. Held to be known again; it opens nothing. */
  #refused: SecretBytes | undefined;

  constructor(source: PinSource) {
    this.#source = source;
  }

  /** Gives `login` a copy, which it owns. Throws PIN_REFUSED without an attempt for a PIN that was refused before. */
  async use<T>(login: (pin: Uint8Array) => Promise<T>): Promise<T> {
    const pin = this.#source();
    if (this.#refused !== undefined && isSame(pin, this.#refused)) {
      pin.wipe();
      throw new VaultError('PIN_REFUSED', 'The token refused this PIN before: it is tried again when its file holds another.');
    }
    let isRefused = false;
    try {
      return await login(Uint8Array.from(pin.expose()));
    } catch (error) {
      isRefused = isVaultError(error instanceof WorkerFailure ? error.error : error, 'PIN_REFUSED');
      throw error;
    } finally {
      if (isRefused) {
        this.wipe();
        this.#refused = pin;
      } else pin.wipe();
    }
  }

  wipe(): void {
    this.#refused?.wipe();
  }
}

const isSame = (a: SecretBytes, b: SecretBytes): boolean => constantTimeEqual(a.expose(), b.expose());
