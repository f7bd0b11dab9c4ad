import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { initToken } from '../../daemon/token/keys/init-token.ts';
import { type Provisioned, provisionReplica } from '../../daemon/token/keys/provision.ts';
import type { ReplicaLocation } from '../../daemon/token/keys/replica.ts';
import type { PinSource } from '../../daemon/token/pool/pin-reader.ts';
import { initParametersFor, loadProfile, modulePath, type Profile } from '../../daemon/token/profile.ts';
import { makeSoftHsmDirectory } from '../../daemon/token/softhsm-directory.ts';
import { utf8 } from '../../primitives/bytes.ts';
import { packageRoot, profilePath } from '../../primitives/package-root.ts';
import { SecretBytes } from '../../primitives/secret-bytes.ts';
import { initSoftToken, startSlotDaemon } from './opencryptoki.ts';
import { installation, type TestTokenName, testTokens } from './test-tokens.ts';

// For tests.

const profileNamed = (name: string): Profile => loadProfile(profilePath(name));
export const softHsmProfile = (): Profile => profileNamed('softhsm2');
/** openCryptoki takes 4 to 8 characters. */
export const PIN = 'user1234';
export const pin = (): SecretBytes => new SecretBytes(utf8(PIN));
/** As `openToken` asks for it. */
export const storedPin: PinSource = () => ({ pin: pin(), stamp: '' });
export const soPin = (): SecretBytes => new SecretBytes(utf8('officer1'));

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
  const { location, directory } = makeBlankToken(atEnd, tokenUnderTest, changes);
  return { location, directory, provisioned: provisionReplica({ ...location, pin: pin() }) };
}

/** The same without keys: a token with its PINs and nothing in it. */
export function makeBlankToken(
  atEnd: (remove: () => void) => void,
  name: TestTokenName = tokenUnderTest,
  changes: Partial<Profile> = {},
): Omit<TestToken, 'provisioned'> {
  const directory = mkdtempSync(join(tmpdir(), 'bkv-token-'));
  atEnd(() => rmSync(directory, { recursive: true, force: true }));
  const kind = testTokens[name];
  const profile = { ...profileNamed(kind.profile), ...kind.changes, ...changes };
  prepare[kind.profile]?.(directory, profile, atEnd);
  const module = modulePath(profile);
  const tokenLabel = 'test';
  const initParameters = initParametersFor(profile, { directory, label: tokenLabel });
  initBlank({ module, initParameters, profile }, tokenLabel);
  return { directory, location: { profile, module, initParameters, tokenLabel, fleet: 'fleet', index: 1, epoch: 1 } };
}

const initBlank = (place: Pick<ReplicaLocation, 'module' | 'initParameters' | 'profile'>, label: string): void =>
  place.profile.vendor === 'opencryptoki'
    ? initSoftToken(place, label, soPin(), pin())
    : initToken({ ...place, label, soPin: soPin(), pin: pin() });

type AtEnd = Parameters<typeof makeBlankToken>[0];

const makeSoftHsm = (directory: string): void => {
  process.env.SOFTHSM2_CONF = makeSoftHsmDirectory(directory, join(packageRoot, 'softhsm/softhsm2.conf'));
};

/** What a module finds when it is loaded. */
const prepare: Readonly<Record<string, (directory: string, profile: Profile, atEnd: AtEnd) => void>> = {
  softhsm2: makeSoftHsm,
  'p11-kit-proxy': (directory) => {
    makeSoftHsm(directory);
    // In front of SoftHSM2 alone: pkcs11.conf(5), whose user configuration takes the place of the machine's.
    mkdirSync(join(directory, 'pkcs11/modules'), { recursive: true });
    writeFileSync(join(directory, 'pkcs11/pkcs11.conf'), 'user-config: only\n');
    writeFileSync(join(directory, 'pkcs11/modules/softhsm2.module'), `module: ${modulePath(softHsmProfile())}\n`);
    process.env.XDG_CONFIG_HOME = directory;
  },
  opencryptoki: (directory, { modulePaths }, atEnd) => startSlotDaemon(installation(modulePaths), directory, atEnd),
  // As its User_Guide.md has it (kryoptic-lib 1.5.1).
  kryoptic: (directory) =>
    writeFileSync(join(directory, 'token.conf'), `[[slots]]\nslot = 1\ndbtype = "sqlite"\ndbargs = "${join(directory, 'token.sql')}"\n`),
};
