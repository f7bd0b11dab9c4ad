import { existsSync, readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { z } from 'zod';
import { VaultError } from '../../primitives/errors.ts';

const mechanism = z.int().min(1).max(0xffffffff);
const count = z.int().positive();

/**
 * What differs between vendors, as data (hsm-config/). Each choice names a strategy that exists in this folder; a vendor that needs
 * another one brings the strategy and the word for it in one change.
 */
const schema = z.strictObject({
  vendor: z.string().regex(/^[a-z0-9-]+$/),
  /** Where the vendor's installer puts the module. */
  modulePaths: z.array(z.string().startsWith('/')).min(1),
  /** The role of C_Login. */
  userType: z.int().nonnegative(),
  /** How CKA_EC_POINT reads. */
  ecPoint: z.enum(['der', 'raw']),
  /** How CKM_ECDH1_DERIVE wants the other side's point. */
  ecdhPublicData: z.enum(['der', 'raw']),
  /** How x(k·P) leaves the token. */
  rawEcdh: z.literal('direct'),
  /** How a session key is derived from it (protocol/: session suites). */
  sessionSuite: z.literal('A'),
  wrap: z.strictObject({
    /** For EC private keys. Only this token ever unwraps the result. */
    ecPrivateKey: mechanism,
    /** For 32-byte secrets: RFC 3394, since clients make and open such blobs. */
    secret: mechanism,
  }),
  /** Is CKA_UNWRAP_TEMPLATE enforced? */
  unwrapTemplate: z.boolean(),
  /** Is CKA_ALLOWED_MECHANISMS enforced? */
  allowedMechanisms: z.boolean(),
  /** How a KEK becomes CKA_TRUSTED; `none` leaves it, and CKA_WRAP_WITH_TRUSTED, out. */
  trusted: z.enum(['so-copy', 'none']),
  /** Threads that call the module at the same time. */
  workers: count.max(64),
  /** Calls accepted and not yet answered. */
  queueLimit: count,
  /** Milliseconds after which a call is given up. */
  callTimeout: count,
  /** Session objects after which the module is finalised and initialised again; absent where it does not leak. */
  recycleAfterObjects: count.optional(),
});

export type Profile = z.infer<typeof schema>;

/** Reads a vendor profile. Throws CONFIG_INVALID naming the file and every wrong field. */
export function loadProfile(path: string): Profile {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw new VaultError('CONFIG_INVALID', `The vendor profile ${path} cannot be read.`, { cause });
  }
  return parseProfile(text, path);
}

export function parseProfile(text: string, name: string): Profile {
  let value: unknown;
  try {
    value = parse(text);
  } catch (cause) {
    throw new VaultError('CONFIG_INVALID', `The vendor profile ${name} is not YAML: ${(cause as Error).message}`, { cause });
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw new VaultError('CONFIG_INVALID', `The vendor profile ${name} is wrong:\n${z.prettifyError(parsed.error)}`);
  return parsed.data;
}

/** The module to load: the one configured, else the first of the vendor's that exists. Throws MODULE_MISSING. */
export function modulePath(profile: Profile, configured?: string): string {
  const candidates = configured === undefined ? profile.modulePaths : [configured];
  const path = candidates.find((candidate) => existsSync(candidate));
  if (path === undefined) throw new VaultError('MODULE_MISSING', `There is no PKCS#11 module at ${candidates.join(', ')}.`);
  return path;
}
