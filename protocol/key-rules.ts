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

const kek = { ...kept, ...noUse, wrap: true, unwrap: true } as const;

export const keyRules: Readonly<Record<string, Readonly<Record<string, boolean>>>> = {
  session: { ...kept, ...noUse, derive: true },
  receipt: { ...kept, ...noUse, sign: true },
  mac: { ...kept, ...noUse, sign: true, verify: true },
  'kek-oprf': kek,
  'kek-auth': kek,
  'kek-release': kek,
};

/**
 * The same for a set of which copies of the keys that store were given to a second token when it was made (docs/adr/0020). Its token says so
 * for ever.
 */
export const keyRulesWithHeir: typeof keyRules = Object.fromEntries(
  Object.entries(keyRules).map(([name, rules]) => [name, /^(mac|kek-\w+)$/.test(name) ? { ...rules, neverExtractable: false } : rules]),
);

/** Whether a token may leave it out of what it reports: uses do not exist for every kind of key, what protects the key does. */
export const mayBeMissing = (flag: string): boolean => Object.hasOwn(noUse, flag);
