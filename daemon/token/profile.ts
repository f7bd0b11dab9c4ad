import { existsSync, readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { z } from 'zod';
import { VaultError } from '../../primitives/errors.ts';

/** A CK_ULONG, as far as mechanisms, attributes and return values go: vendors' own have the highest of 32 bits set. */
const ulong = z.int().min(0).max(0xffffffff);
const count = z.int().positive();
const form = z.enum(['der', 'raw']);

/** Attributes that one token wants left out and another wants to see. */
const omitted = z.array(
  z.enum(['private', 'valueLength', 'modifiable', 'copyable', 'destroyable', 'allowedMechanisms', 'encrypt', 'wrap', 'unwrap', 'verify']),
);

const readout = z.discriminatedUnion('way', [
  /** The derived value is made readable and read. */
  z.strictObject({ way: z.literal('read') }),
  /** It is sensitive, is wrapped under a throw-away key of the token, and decrypted by that key. */
  z.strictObject({
    way: z.literal('wrap-decrypt'),
    wrap: ulong,
    decrypt: ulong,
    /** What both get as parameter: 16 zero bytes (the host is to see what the key encrypts), or nothing. */
    iv: z.enum(['zero', 'none']),
  }),
  /** It is sensitive, and is wrapped by RSA-OAEP to a throw-away key of the host. */
  z.strictObject({ way: z.literal('oaep'), hash: z.enum(['sha1', 'sha256']) }),
]);

/**
 * What differs between vendors, as data (hsm-config/). Each choice names a strategy that exists in this folder; a vendor that needs
 * another one brings the strategy and the word for it in one change.
 */
const schema = z.strictObject({
  vendor: z.string().regex(/^[a-z0-9-]+$/),
  /** `tried`: the token suite runs against it. `from-documentation`: drawn from papers, and its token was never met. */
  basis: z.enum(['tried', 'from-documentation']),
  /** How such a token introduces itself, as regular expressions: for suggesting a profile, never for anything else. */
  recognise: z.strictObject({ manufacturer: z.string(), model: z.string() }),
  /** Where the vendor's installer puts the module. */
  modulePaths: z.array(z.string().startsWith('/')).min(1),
  /** Variables that the module reads. Set before it is loaded, unless they are set already. */
  environment: z.record(z.string().regex(/^[A-Z][A-Z0-9_]*$/), z.string()).optional(),
  /** A string that C_Initialize wants. @DIRECTORY@ and @LABEL@ stand for the configured ones. */
  initParameters: z.string().optional(),
  /** False where C_Finalize harms a process that has other threads: a daemon then leaves the module to the end of its process. */
  finalise: z.literal(false).optional(),
  /** How a blank token comes to its PINs: C_InitToken and C_InitPIN, C_InitPIN alone, or with the vendor's own tools. */
  initialise: z.enum(['init-token', 'init-pin', 'by-vendor']),
  /** The role of C_Login. */
  userType: ulong,
  /** Where keys live: in the device, or as encrypted files on the host, so that destroying a set takes every copy of them. */
  keystore: z.enum(['device', 'host-blob']),
  /** How CKA_EC_POINT reads. */
  readPoint: form,
  /** How CKM_ECDH1_DERIVE wants the other side's point. */
  derivePoint: form,
  /** How x(k·P) leaves the token. */
  readout,
  /** Where a client's proof is verified: by C_Verify with its key as a session object, or by the host where the token takes none. */
  verify: z.enum(['token', 'host']),
  /** The MAC key: its type and what makes it. */
  hmac: z.strictObject({ keyType: z.enum(['generic-secret', 'sha256-hmac']), generate: ulong }),
  /** CKA_PRIVATE by kind of object. */
  private: z.strictObject({
    publicKey: z.boolean(),
    privateKey: z.boolean(),
    secretKey: z.boolean(),
    derived: z.boolean(),
    /** The boot record, where it is a data object. */
    data: z.boolean(),
  }),
  /** What C_DeriveKey's template holds: of the attributes that we would send those listed, and the vendor's own. */
  deriveTemplate: z.strictObject({
    send: z.array(z.enum(['class', 'keyType', 'valueLength', 'token', 'private', 'sensitive', 'extractable'])),
    extras: z.array(z.strictObject({ attribute: ulong, value: z.union([z.boolean(), ulong]) })).optional(),
  }),
  /** What templates of such an object leave out. */
  neverSend: z.strictObject({ publicKey: omitted, privateKey: omitted, secretKey: omitted }).optional(),
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
  /** Is CKA_ALLOWED_MECHANISMS enforced? */
  allowedMechanisms: z.boolean(),
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
