import { existsSync } from 'node:fs';

/** A token as the tests of this folder meet it: a profile of hsm-config/, or a way through it that no other token takes. */
export interface TestTokenKind {
  readonly profile: string;
  readonly changes: { readonly rawEcdh?: 'wrap-and-decrypt' };
  /** Any of these shows that the token is installed. */
  readonly modules: readonly string[];
}

const softHsm = ['/usr/lib/softhsm/libsofthsm2.so', '/usr/lib64/pkcs11/libsofthsm2.so', '/usr/local/lib/softhsm/libsofthsm2.so'];
const nss = ['/usr/lib/x86_64-linux-gnu/libsoftokn3.so', '/usr/lib/aarch64-linux-gnu/libsoftokn3.so', '/usr/lib64/libsoftokn3.so'];
const kryoptic = ['/usr/lib/x86_64-linux-gnu/pkcs11/libkryoptic_pkcs11.so', '/usr/lib64/pkcs11/libkryoptic_pkcs11.so'];

/** Together they take both ways to the raw ECDH value and both session suites. */
export const testTokens = {
  softhsm2: { profile: 'softhsm2', changes: {}, modules: softHsm },
  'softhsm2-wrap-and-decrypt': { profile: 'softhsm2', changes: { rawEcdh: 'wrap-and-decrypt' }, modules: softHsm },
  'nss-softokn': { profile: 'nss-softokn', changes: {}, modules: nss },
  'nss-softokn-wrap-and-decrypt': { profile: 'nss-softokn', changes: { rawEcdh: 'wrap-and-decrypt' }, modules: nss },
  kryoptic: { profile: 'kryoptic', changes: {}, modules: kryoptic },
} as const satisfies Record<string, TestTokenKind>;

export type TestTokenName = keyof typeof testTokens;

export const testTokenNames = Object.keys(testTokens) as TestTokenName[];

export const isPresent = (name: TestTokenName): boolean => testTokens[name].modules.some((path) => existsSync(path));
