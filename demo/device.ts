import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { SecretBytes } from '../primitives/secret-bytes.ts';
import { decryptFile, encryptFile } from './archive.ts';
import { countMessages, makeHistory } from './history.ts';
import { check } from './narrator.ts';

/** A phone: its message history and its backup key. What the cloud has is the archive alone. */
export class Device {
  readonly #directory: string;
  #key: SecretBytes | undefined;

  constructor(directory: string) {
    this.#directory = directory;
    mkdirSync(directory);
  }

  get history(): string {
    return join(this.#directory, 'history.sqlite');
  }

  get backupKey(): SecretBytes {
    if (!this.#key) throw new Error('the device has no backup key');
    return this.#key;
  }

  write(): { messages: number; bytes: number } {
    const messages = makeHistory(this.history);
    return { messages, bytes: statSync(this.history).size };
  }

  async backUp(archive: string): Promise<void> {
    this.#key = new SecretBytes(randomBytes(32));
    await encryptFile(this.history, archive, this.#key.expose());
  }

  /** Everything on it is gone. */
  lose(): void {
    this.#key?.wipe();
    this.#key = undefined;
    rmSync(this.#directory, { recursive: true });
  }

  /** Decrypts the archive with a recovered key and compares with what was there before, byte for byte. */
  async restore(archive: string, key: SecretBytes, original: Buffer): Promise<void> {
    await decryptFile(archive, this.history, key.expose());
    check(readFileSync(this.history).equals(original), 'the restored history is the original, byte for byte');
    check(countMessages(this.history) > 0, 'the restored history is a sound database');
  }
}
