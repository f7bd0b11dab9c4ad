import { isVaultError, VaultError } from '../../../primitives/errors.ts';
import type { SecretBytes } from '../../../primitives/secret-bytes.ts';
import { WorkerFailure } from './messages.ts';

export interface StoredPin {
  /** Wiped by who asked. */
  readonly pin: SecretBytes;
  /** Another one once somebody has written the PIN anew. */
  readonly stamp: string;
}

/** Reads the PIN where it is kept, each time anew. */
export type PinSource = () => StoredPin;

/** Lets the PIN be used for one login at a time: between logins no copy of it is held here. */
export class PinReader {
  readonly #source: PinSource;
  /** Of the PIN that was refused. It is not tried again: a few more attempts would lock it. */
  #refused: string | undefined;

  constructor(source: PinSource) {
    this.#source = source;
  }

  /** Gives `login` a copy, which it owns. Throws PIN_REFUSED, without an attempt, until the PIN that was refused is written anew. */
  async use<T>(login: (pin: Uint8Array) => Promise<T>): Promise<T> {
    const { pin, stamp } = this.#source();
    try {
      if (stamp === this.#refused)
        throw new VaultError('PIN_REFUSED', 'The token refused this PIN before: it is tried again when its file was written anew.');
      return await login(Uint8Array.from(pin.expose()));
    } catch (error) {
      if (isVaultError(error instanceof WorkerFailure ? error.error : error, 'PIN_REFUSED')) this.#refused = stamp;
      throw error;
    } finally {
      pin.wipe();
    }
  }
}
