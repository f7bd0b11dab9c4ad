import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { OpenVault } from '../cli/open-vault.ts';
import { attempts } from '../cli/output.ts';
import { patiently } from '../cli/patience.ts';
import { generateCode } from '../client/code-generator.ts';
import type { RecoveryResult } from '../client/recover.ts';
import type { DevFleet } from '../test/harness/dev-fleet.ts';
import { Device } from './device.ts';
import { check, type Narrator } from './narrator.ts';

export const RECORD = 'alice';
export const LIMIT = 4;

/** What the chapters share: one account, its archive in the cloud, its code in the user's head. */
export class Story {
  readonly fleet: DevFleet;
  readonly narrator: Narrator;
  readonly code = generateCode();
  readonly archive: string;
  readonly #directory: string;
  #original: Buffer | undefined;
  #devices = 0;

  constructor(fleet: DevFleet, narrator: Narrator) {
    this.fleet = fleet;
    this.narrator = narrator;
    this.#directory = join(fleet.directory, 'story'); // goes when the fleet goes
    mkdirSync(this.#directory);
    this.archive = join(this.#directory, 'cloud-archive');
  }

  get rid(): Uint8Array {
    return this.fleet.rid(RECORD);
  }

  newDevice(): Device {
    return new Device(join(this.#directory, `device-${++this.#devices}`));
  }

  /** The demo's own copy, which no device sees: to compare with. */
  remember(device: Device): void {
    this.#original = readFileSync(device.history);
  }

  /** Another code, as good as the right one. */
  wrongCode(): string {
    return generateCode();
  }

  /** A new device, on which the user types the code: it recovers the key, decrypts the archive, compares, and is lost again. */
  async recoverOnNewDevice(): Promise<RecoveryResult> {
    const device = this.newDevice();
    const result = await this.asNewApp(({ vault }) => patiently(() => vault.recover({ recordId: RECORD, code: this.code })));
    check(this.#original !== undefined, 'a history was backed up before');
    await device.restore(this.archive, result.backupKey, this.#original);
    result.backupKey.wipe();
    device.lose();
    return result;
  }

  async attemptsLeft(): Promise<string> {
    const { attemptsUsed, attemptsLimit } = await this.asNewApp(({ vault }) => vault.describe(RECORD));
    return attempts(attemptsUsed, attemptsLimit);
  }

  /** Connections and memory of its own: what an app that was just installed has. */
  async asNewApp<T>(use: (opened: OpenVault) => Promise<T>): Promise<T> {
    const opened = this.fleet.open();
    try {
      return await use(opened);
    } finally {
      opened.close();
    }
  }
}
