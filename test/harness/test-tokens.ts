import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { loadProfile, type Profile } from '../../daemon/token/profile.ts';
import { profilePath } from '../../primitives/package-root.ts';

/** A token as the tests of this folder meet it: a profile of hsm-config/, or a way through it that no other token takes. */
export interface TestTokenKind {
  readonly profile: string;
  readonly changes: Partial<Profile>;
  /** Why it cannot be tested here, if the module is installed at all. */
  readonly whyNot?: (profile: Profile) => string | undefined;
}

const oaep = (hash: 'sha1' | 'sha256'): Partial<Profile> => ({ readout: { way: 'oaep', hash } });
const wrapDecrypt = (mechanism: number, iv: 'zero' | 'none'): Partial<Profile> => ({
  readout: { way: 'wrap-decrypt', wrap: mechanism, decrypt: mechanism, iv },
});

/** Together they take every readout, both forms of a point, and both who may verify a proof. */
export const testTokens = {
  softhsm2: { profile: 'softhsm2', changes: {} },
  'softhsm2-wrap-decrypt': { profile: 'softhsm2', changes: wrapDecrypt(0x1082, 'zero') },
  'softhsm2-oaep': { profile: 'softhsm2', changes: { ...oaep('sha1'), derivePoint: 'der', verify: 'host' } },
  'nss-softokn': { profile: 'nss-softokn', changes: {} },
  'nss-softokn-wrap-decrypt': { profile: 'nss-softokn', changes: wrapDecrypt(0x2109, 'none') },
  'nss-softokn-oaep': { profile: 'nss-softokn', changes: { ...oaep('sha256'), derivePoint: 'der', verify: 'host' } },
  opencryptoki: { profile: 'opencryptoki', changes: {}, whyNot: ({ modulePaths }) => installation(modulePaths).whyNot },
  'p11-kit-proxy': {
    profile: 'p11-kit-proxy',
    changes: {},
    whyNot: () => (isInstalled('softhsm2') ? undefined : 'SoftHSM2 is not installed'),
  },
  kryoptic: { profile: 'kryoptic', changes: {} },
} as const satisfies Record<string, TestTokenKind>;

export type TestTokenName = keyof typeof testTokens;

export const testTokenNames = Object.keys(testTokens) as TestTokenName[];

/** Why there is no such token to test, or undefined. */
export function whyAbsent(name: TestTokenName): string | undefined {
  const { profile, whyNot }: TestTokenKind = testTokens[name];
  if (!isInstalled(profile)) return 'not installed';
  return whyNot?.(profileOf(profile));
}

export const isPresent = (name: TestTokenName): boolean => whyAbsent(name) === undefined;

const profileOf = (name: string): Profile => loadProfile(profilePath(name));
const isInstalled = (profile: string): boolean => profileOf(profile).modulePaths.some((path) => existsSync(path));

/** openCryptoki, as it lies on this machine. */
export interface Installation {
  readonly module: string;
  readonly slotDaemon: string;
  readonly conf: string;
  readonly state: string;
  /** Why no test can use it. */
  readonly whyNot: string | undefined;
}

/** Of the first of these modules that exists. */
export function installation(modulePaths: readonly string[]): Installation {
  const module = modulePaths.find((path) => existsSync(path)) ?? '';
  const prefix = /^(.*?)\/lib(64)?\//.exec(module)?.[1] ?? '/usr';
  const [etc, state] = prefix === '/usr' ? ['/etc', '/var'] : [join(prefix, 'etc'), join(prefix, 'var')];
  const slotDaemon = join(prefix, 'sbin/pkcsslotd');
  const conf = join(etc, 'opencryptoki/opencryptoki.conf');
  return { module, slotDaemon, conf, state, whyNot: whyNot(prefix, [slotDaemon, conf]) };
}

function whyNot(prefix: string, needed: readonly string[]): string | undefined {
  const missing = needed.find((path) => !existsSync(path));
  if (missing !== undefined) return `there is no ${missing}`;
  // It came with 3.15, as elliptic curves did for the soft token. Debian 12 has 3.8.
  if (!['bin', 'sbin'].some((directory) => existsSync(join(prefix, directory, 'p11sak'))))
    return 'it is older than 3.15, and has no elliptic curves';
  if (process.getuid?.() !== 0) return 'only root can start its daemon pkcsslotd';
  return undefined;
}
