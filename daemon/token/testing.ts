import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { utf8 } from '../../primitives/bytes.ts';
import { SecretBytes } from '../../primitives/secret-bytes.ts';
import { initToken } from './init-token.ts';
import { initParametersFor, loadProfile, modulePath, type Profile } from './profile.ts';
import { type Provisioned, provisionReplica } from './provision.ts';
import type { ReplicaLocation } from './replica.ts';
import { makeSoftHsmDirectory } from './softhsm-directory.ts';
import { type TestTokenName, testTokens } from './test-tokens.ts';

// For tests. The sources are two folders below the root, the compiled tests one more.
const root = fileURLToPath(new URL(import.meta.url.endsWith('.ts') ? '../..' : '../../..', import.meta.url));

export const softHsmProfile = (): Profile => loadProfile(join(root, 'hsm-config/softhsm2.yaml'));
export const pin = (): SecretBytes => new SecretBytes(utf8('user-pin-1234'));
export const soPin = (): SecretBytes => new SecretBytes(utf8('officer-pin-1234'));

export interface TestToken {
  readonly location: ReplicaLocation;
  readonly directory: string;
  readonly provisioned: Provisioned;
}

/** The token that this process tests: test/token-suite/ runs every test once for each. */
export const tokenUnderTest = (process.env.BKV_TEST_TOKEN ?? 'softhsm2') as TestTokenName;

/**
 * A fresh token with one provisioned replica, removed by what `atEnd` (Vitest's afterAll) is given. Once per process: SoftHSM2 reads
 * SOFTHSM2_CONF when it is loaded.
 */
export function makeTestToken(atEnd: (remove: () => void) => void, changes: Partial<Profile> = {}): TestToken {
  const directory = mkdtempSync(join(tmpdir(), 'bkv-token-'));
  atEnd(() => rmSync(directory, { recursive: true, force: true }));
  process.env.SOFTHSM2_CONF = makeSoftHsmDirectory(directory, join(root, 'softhsm/softhsm2.conf'));
  const location = makeBlankToken(directory, tokenUnderTest, changes);
  return { location, directory, provisioned: provisionReplica({ ...location, pin: pin(), soPin: soPin() }) };
}

/** A token with its PINs and nothing in it, in `directory`. */
export function makeBlankToken(directory: string, name: TestTokenName, changes: Partial<Profile> = {}): ReplicaLocation {
  const kind = testTokens[name];
  const profile = { ...loadProfile(join(root, `hsm-config/${kind.profile}.yaml`)), ...kind.changes, ...changes };
  const module = modulePath(profile);
  const label = 'test';
  const initParameters = initParametersFor(profile, { directory, label });
  initToken({ module, initParameters, initialise: profile.initialise, label, soPin: soPin(), pin: pin() });
  return { profile, module, initParameters, tokenLabel: label, fleet: 'fleet', index: 1 };
}
