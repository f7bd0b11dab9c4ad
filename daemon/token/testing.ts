import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { utf8 } from '../../primitives/bytes.ts';
import { SecretBytes } from '../../primitives/secret-bytes.ts';
import { initToken } from './init-token.ts';
import type { PinSource } from './pin-reader.ts';
import { loadProfile, modulePath, type Profile } from './profile.ts';
import { type Provisioned, provisionReplica } from './provision.ts';
import type { ReplicaLocation } from './replica.ts';
import { makeSoftHsmDirectory } from './softhsm-directory.ts';

// For tests. The sources are two folders below the root, the compiled tests one more.
const root = fileURLToPath(new URL(import.meta.url.endsWith('.ts') ? '../..' : '../../..', import.meta.url));

export const softHsmProfile = (): Profile => loadProfile(join(root, 'hsm-config/softhsm2.yaml'));
export const pin = (): SecretBytes => new SecretBytes(utf8('user-pin-1234'));
/** As `openToken` asks for it. */
export const storedPin: PinSource = () => ({ pin: pin(), stamp: '' });
export const soPin = (): SecretBytes => new SecretBytes(utf8('officer-pin-1234'));

export interface TestToken {
  readonly location: ReplicaLocation;
  readonly directory: string;
  readonly provisioned: Provisioned;
}

/**
 * A fresh SoftHSM2 with one provisioned replica, removed by what `atEnd` (Vitest's afterAll) is given. Once per process: the library
 * reads SOFTHSM2_CONF when it is loaded.
 */
export function makeTestToken(atEnd: (remove: () => void) => void, changes: Partial<Profile> = {}): TestToken {
  const directory = mkdtempSync(join(tmpdir(), 'bkv-token-'));
  atEnd(() => rmSync(directory, { recursive: true, force: true }));
  process.env.SOFTHSM2_CONF = makeSoftHsmDirectory(directory, join(root, 'softhsm/softhsm2.conf'));
  const profile = { ...softHsmProfile(), ...changes };
  const module = modulePath(profile);
  const location = { profile, module, tokenLabel: 'test', fleet: 'fleet', index: 1 };
  initToken({ module, label: location.tokenLabel, soPin: soPin(), pin: pin() });
  return { location, directory, provisioned: provisionReplica({ ...location, pin: pin(), soPin: soPin() }) };
}
