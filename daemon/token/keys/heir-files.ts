import { createHash } from 'node:crypto';
import canonicalize from 'canonicalize';
import { z } from 'zod';
import { type Bytes, constantTimeEqual, fromHex, toHex, utf8 } from '../../../primitives/bytes.ts';
import { VaultError } from '../../../primitives/errors.ts';
import { type CompressedPoint, parsePoint } from '../../../protocol/point.ts';
import { SEALED_LENGTH, WRAPPED_KEY_MAX } from '../stored.ts';
import { type StorageName, storageNames } from './key-sets.ts';

// The two files that go between a token and its heir: docs/adr/0020. Each has one form (RFC 8785), so that it has one hash to read aloud.

/** Bytes of an RSA modulus, and so of what is wrapped with it. */
export const WRAPPED_LENGTH = 384;

/** A second token that is to be given a set of a replica's keys when they are made. */
export interface Heir {
  readonly fleet: string;
  readonly index: number;
  readonly token: HeirToken;
  /** Of its one-time RSA key. */
  readonly modulus: Bytes;
  /** SHA-256 of the file. */
  readonly hash: Bytes;
}

/** What stays the same of a token, whatever firmware it gets. */
export interface HeirToken {
  readonly manufacturer: string;
  readonly model: string;
  readonly serial: string;
}

export type WrappedKeys = Readonly<Record<StorageName, Bytes>>;

/** A set of keys, wrapped for an heir, with what shows that it can read with them. */
export interface Bequest {
  readonly fleet: string;
  readonly index: number;
  readonly set: number;
  /** Hash of what the heir wrote. */
  readonly heir: Bytes;
  readonly keys: WrappedKeys;
  readonly check: BequestCheck;
}

/** Stored with the keys themselves, for this purpose alone. */
export interface BequestCheck {
  readonly oprf: { readonly wrappedKey: Bytes; readonly publicKey: CompressedPoint };
  readonly auth: Bytes;
  readonly release: Bytes;
  /** HMAC by the MAC key over `bequestDigest`. */
  readonly tag: Bytes;
  /** The same by what is in `auth`. */
  readonly proof: Bytes;
}

const hex = (least: number, most = least) =>
  z
    .hex()
    .lowercase()
    .min(2 * least)
    .max(2 * most);
const owner = { fleet: z.string(), replica: z.int().positive() };

const heirSchema = z.strictObject({
  type: z.literal('backup-key-vault/heir/v1'),
  ...owner,
  token: z.strictObject({ manufacturer: z.string(), model: z.string(), serial: z.string() }),
  modulus: hex(WRAPPED_LENGTH),
});

const bequestSchema = z.strictObject({
  type: z.literal('backup-key-vault/bequest/v1'),
  ...owner,
  set: z.int().positive(),
  heir: hex(32),
  keys: z.strictObject(
    Object.fromEntries(storageNames.map((name) => [name, hex(WRAPPED_LENGTH)])) as Record<StorageName, ReturnType<typeof hex>>,
  ),
  check: z.strictObject({
    oprf: z.strictObject({ wrapped_key: hex(1, WRAPPED_KEY_MAX), public_key: hex(33) }),
    auth: hex(SEALED_LENGTH),
    proof: hex(32),
    release: hex(SEALED_LENGTH),
    tag: hex(32),
  }),
});

export const encodeHeir = ({ fleet, index, token, modulus }: Omit<Heir, 'hash'>): Bytes =>
  canonical({ type: heirSchema.shape.type.value, fleet, replica: index, token, modulus: toHex(modulus) } satisfies z.infer<
    typeof heirSchema
  >);

/** Throws CONFIG_INVALID. */
export function parseHeir(bytes: Uint8Array): Heir {
  const { fleet, replica, token, modulus } = parse(bytes, heirSchema, 'what an heir writes of itself');
  return { fleet, index: replica, token, modulus: fromHex(modulus, 'modulus'), hash: sha256(bytes) };
}

export const encodeBequest = (bequest: Bequest): Bytes => canonical(toDocument(bequest));

/** Throws CONFIG_INVALID; MALFORMED for a bad point. */
export function parseBequest(bytes: Uint8Array): Bequest {
  const { fleet, replica, set, heir, keys, check } = parse(bytes, bequestSchema, 'a bequest');
  const read = (value: string) => fromHex(value, 'bequest');
  return {
    ...{ fleet, index: replica, set, heir: read(heir) },
    keys: Object.fromEntries(Object.entries(keys).map(([name, value]) => [name, read(value)])) as unknown as WrappedKeys,
    check: {
      oprf: { wrappedKey: read(check.oprf.wrapped_key), publicKey: parsePoint(read(check.oprf.public_key), 'the public key') },
      ...{ auth: read(check.auth), proof: read(check.proof), release: read(check.release), tag: read(check.tag) },
    },
  };
}

/** What the tag and the proof are over: the file with nothing in their places. No other MAC of a replica is over the hash of a JSON object. */
export const bequestDigest = (bequest: Bequest): Bytes =>
  sha256(canonical(toDocument({ ...bequest, check: { ...bequest.check, tag: NOTHING, proof: NOTHING } })));

export const NOTHING: Bytes = new Uint8Array(0);

function toDocument({ fleet, index, set, heir, keys, check }: Bequest): z.infer<typeof bequestSchema> {
  return {
    ...{ type: bequestSchema.shape.type.value, fleet, replica: index, set, heir: toHex(heir) },
    keys: Object.fromEntries(storageNames.map((name) => [name, toHex(keys[name])])) as Record<StorageName, string>,
    check: {
      oprf: { wrapped_key: toHex(check.oprf.wrappedKey), public_key: toHex(check.oprf.publicKey) },
      ...{ auth: toHex(check.auth), proof: toHex(check.proof), release: toHex(check.release), tag: toHex(check.tag) },
    },
  };
}

function parse<T>(bytes: Uint8Array, schema: z.ZodType<T>, what: string): T {
  try {
    const document = schema.parse(JSON.parse(new TextDecoder().decode(bytes)));
    if (constantTimeEqual(canonical(document), bytes)) return document;
  } catch (cause) {
    throw new VaultError('CONFIG_INVALID', `The file is not ${what}.`, { cause });
  }
  throw new VaultError('CONFIG_INVALID', `The file is not ${what} in its one form (RFC 8785): it was changed.`);
}

const canonical = (document: unknown): Bytes => utf8(canonicalize(document) as string);

const sha256 = (bytes: Uint8Array): Bytes => new Uint8Array(createHash('sha256').update(bytes).digest());
