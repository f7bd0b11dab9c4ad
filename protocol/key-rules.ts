/**
 * What each key of a replica may do and must not, as flags that its token reports of it (PKCS#11 attributes). Evidence is held against
 * this by whoever verifies; daemon/token/keys/templates.ts, which makes the keys, gives the reasons, and a test holds the two together.
 */

/** Born in the token, never outside, unchangeable: of every key. */
const kept = {
  token: true,
  private: true,
  sensitive: true,
  extractable: false,
  alwaysSensitive: true,
  neverExtractable: true,
  local: true,
  modifiable: false,
} as const;

// Flags that a kind of key does not have may be missing from what the token reports.
const noUse = { encrypt: false, decrypt: false, sign: false, verify: false, wrap: false, unwrap: false, derive: false } as const;

export const keyRules: Readonly<Record<string, Readonly<Record<string, boolean>>>> = {
  oprf: { ...kept, ...noUse, derive: true },
  release: { ...kept, ...noUse, derive: true },
  mac: { ...kept, ...noUse, sign: true, verify: true },
  receipt: { ...kept, ...noUse, sign: true },
};

/** Whether a token may leave it out of what it reports: uses do not exist for every kind of key, what protects the key does. */
export const mayBeMissing = (flag: string): boolean => Object.hasOwn(noUse, flag);
