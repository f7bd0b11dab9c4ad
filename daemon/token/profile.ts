import { existsSync, readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { z } from 'zod';
import { VaultError } from '../../primitives/errors.ts';

const ulong = z.int().min(1).max(0xffffffff);
const count = z.int().positive();

/**
 * What differs between vendors, as data (hsm-config/). Each choice names a strategy that exists in this folder; a vendor that needs
 * another one brings the strategy and the word for it in one change.
 */
const schema = z.strictObject({
  vendor: z.string().regex(/^[a-z0-9-]+$/),
  /** `tested`: the token suite runs against it. `documented`: drawn from papers, and its token was never met. */
  basis: z.enum(['tested', 'documented']),
  /** How such a token introduces itself, as regular expressions: for suggesting a profile, never for anything else. */
  recognise: z.strictObject({ manufacturer: z.string(), model: z.string() }),
  /** Where the vendor's installer puts the module. */
  modulePaths: z.array(z.string().startsWith('/')).min(1),
  /** A string that C_Initialize wants. @DIRECTORY@ and @LABEL@ stand for the configured ones. */
  initParameters: z.string().optional(),
  /** How a blank token comes to its PINs: C_InitToken and C_InitPIN, C_InitPIN alone, or with the vendor's own tools. */
  initialise: z.enum(['init-token', 'init-pin', 'by-vendor']),
  /** The role of C_Login. */
  userType: z.int().nonnegative(),
  /** How CKA_EC_POINT reads. */
  ecPoint: z.enum(['der', 'raw']),
  /** How CKM_ECDH1_DERIVE wants the other side's point. */
  ecdhPublicData: z.enum(['der', 'raw']),
  /** How x(k·P) leaves the token. */
  rawEcdh: z.enum(['direct', 'wrap-and-decrypt']),
  /** How a session key is derived from it (protocol/: session suites). */
  sessionSuite: z.enum(['A', 'B']),
  wrap: z.strictObject({
    /** For EC private keys. Only this token ever unwraps the result. */
    ecPrivateKey: ulong,
    /** For 32-byte secrets: RFC 3394, since clients make and open such blobs. */
    secret: ulong,
    /** For x(k·P) on the way `wrap-and-decrypt`: AES-CBC, since the key that wraps has to decrypt. */
    derived: z.literal(0x1082),
  }),
  /** What C_UnwrapKey of an EC private key needs beside its template. */
  ecUnwrap: z.enum(['plain', 'with-nss-db']),
  /** What C_Verify answers to a wrong signature; `any` where that is not to be foreseen: then a positive control decides (verify.ts). */
  wrongSignature: z.union([z.array(ulong).min(1), z.literal('any')]),
  /** Does CKA_LOCAL say of a key pair that it was made in the token? */
  local: z.boolean(),
  /** Does C_WrapKey refuse a key that is not EXTRACTABLE? */
  extractable: z.boolean(),
  /** Does C_CopyObject refuse to loosen attributes, and to copy what is not MODIFIABLE? */
  copy: z.boolean(),
  /** Does C_DeriveKey refuse a key without DERIVE? */
  derive: z.boolean(),
  /** Is CKA_UNWRAP_TEMPLATE enforced? */
  unwrapTemplate: z.boolean(),
  /** Is CKA_ALLOWED_MECHANISMS enforced? */
  allowedMechanisms: z.boolean(),
  /** How a KEK becomes CKA_TRUSTED; `none` leaves it, and CKA_WRAP_WITH_TRUSTED, out. */
  trusted: z.enum(['so-copy', 'none']),
  /** Where the 32 bytes are that say who served last, and are no secret: the value of a data object, or the CKA_ID of a key. */
  bootRecord: z.enum(['data', 'key-id']),
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

/** What C_Initialize gets for this token, or undefined where the module wants nothing. Throws CONFIG_INVALID. */
export function initParametersFor(profile: Profile, token: { directory?: string; label: string }): string | undefined {
  const { initParameters } = profile;
  if (initParameters === undefined) return undefined;
  const values = { '@DIRECTORY@': token.directory, '@LABEL@': token.label };
  return initParameters.replace(/@(DIRECTORY|LABEL)@/g, (name) => {
    const value = values[name as keyof typeof values];
    // A quotation mark would end the module's own string.
    if (value === undefined || /['"\\]/.test(value))
      throw new VaultError('CONFIG_INVALID', `Profile ${profile.vendor} needs ${name} of the token, without quotation marks.`);
    return value;
  });
}

/** The same for other programs: hsm-config/profile.schema.json. */
export const profileJsonSchema = (): object => z.toJSONSchema(schema);
