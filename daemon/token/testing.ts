import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { utf8 } from '../../primitives/bytes.ts';
import { SecretBytes } from '../../primitives/secret-bytes.ts';
import { initToken } from './keys/init-token.ts';
import { type Provisioned, provisionReplica } from './keys/provision.ts';
import type { ReplicaLocation } from './keys/replica.ts';
import type { PinSource } from './pool/pin-reader.ts';
import { initParametersFor, loadProfile, modulePath, type Profile } from './profile.ts';
import { makeSoftHsmDirectory } from './softhsm-directory.ts';
import { type TestTokenName, testTokens } from './test-tokens.ts';

// For tests. The sources are two folders below the root, the compiled tests one more.
const root = fileURLToPath(new URL(import.meta.url.endsWith('.ts') ? '../..' : '../../..', import.meta.url));

const profileNamed = (name: string): Profile => loadProfile(join(root, `hsm-config/${name}.yaml`));
export const softHsmProfile = (): Profile => profileNamed('softhsm2');
export const pin = (): SecretBytes => new SecretBytes(utf8('user-pin-1234'));
/** As `openToken` asks for it. */
export const storedPin: PinSource = () => ({ pin: pin(), stamp: '' });
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
  const { location, directory } = makeBlankToken(atEnd, tokenUnderTest, changes);
  return { location, directory, provisioned: provisionReplica({ ...location, pin: pin(), soPin: soPin() }) };
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
  if (kind.profile === 'softhsm2') process.env.SOFTHSM2_CONF = makeSoftHsmDirectory(directory, join(root, 'softhsm/softhsm2.conf'));
  if (kind.profile === 'kryoptic') writeKryopticConf(directory);
  const profile = { ...profileNamed(kind.profile), ...kind.changes, ...changes };
  const module = modulePath(profile);
  const tokenLabel = 'test';
  const initParameters = initParametersFor(profile, { directory, label: tokenLabel });
  initToken({ module, initParameters, initialise: profile.initialise, label: tokenLabel, soPin: soPin(), pin: pin() });
  return { directory, location: { profile, module, initParameters, tokenLabel, fleet: 'fleet', index: 1, epoch: 1 } };
}

/** Another token of the same kind, without keys. */
export function makeTokenBeside(
  { location }: Pick<TestToken, 'location'>,
  atEnd: (remove: () => void) => void,
  tokenLabel: string,
): ReplicaLocation {
  if (location.initParameters !== undefined) return makeBlankToken(atEnd).location; // a token is a directory of its own
  const { module, profile } = location;
  initToken({ module, initialise: profile.initialise, label: tokenLabel, soPin: soPin(), pin: pin() });
  return { ...location, tokenLabel };
}

/** As its User_Guide.md has it (kryoptic-lib 1.5.1). */
const writeKryopticConf = (directory: string): void =>
  writeFileSync(join(directory, 'token.conf'), `[[slots]]\nslot = 1\ndbtype = "sqlite"\ndbargs = "${join(directory, 'token.sql')}"\n`);
