import pkcs11js from 'pkcs11js';

/** PKCS#11 attributes by name, each with the kind of its value. pkcs11js 2.1 lacks the numbers given here in figures. */
const attributes = {
  class: { type: pkcs11js.CKA_CLASS, kind: 'ulong' },
  keyType: { type: pkcs11js.CKA_KEY_TYPE, kind: 'ulong' },
  token: { type: pkcs11js.CKA_TOKEN, kind: 'bool' },
  private: { type: pkcs11js.CKA_PRIVATE, kind: 'bool' },
  label: { type: pkcs11js.CKA_LABEL, kind: 'text' },
  id: { type: pkcs11js.CKA_ID, kind: 'bytes' },
  value: { type: pkcs11js.CKA_VALUE, kind: 'bytes' },
  valueLength: { type: pkcs11js.CKA_VALUE_LEN, kind: 'ulong' },
  modulus: { type: pkcs11js.CKA_MODULUS, kind: 'bytes' },
  modulusBits: { type: pkcs11js.CKA_MODULUS_BITS, kind: 'ulong' },
  publicExponent: { type: pkcs11js.CKA_PUBLIC_EXPONENT, kind: 'bytes' },
  privateExponent: { type: pkcs11js.CKA_PRIVATE_EXPONENT, kind: 'bytes' },
  ecParams: { type: pkcs11js.CKA_EC_PARAMS, kind: 'bytes' },
  ecPoint: { type: pkcs11js.CKA_EC_POINT, kind: 'bytes' },
  sensitive: { type: pkcs11js.CKA_SENSITIVE, kind: 'bool' },
  extractable: { type: pkcs11js.CKA_EXTRACTABLE, kind: 'bool' },
  alwaysSensitive: { type: pkcs11js.CKA_ALWAYS_SENSITIVE, kind: 'bool' },
  neverExtractable: { type: pkcs11js.CKA_NEVER_EXTRACTABLE, kind: 'bool' },
  local: { type: pkcs11js.CKA_LOCAL, kind: 'bool' },
  encrypt: { type: pkcs11js.CKA_ENCRYPT, kind: 'bool' },
  decrypt: { type: pkcs11js.CKA_DECRYPT, kind: 'bool' },
  sign: { type: pkcs11js.CKA_SIGN, kind: 'bool' },
  verify: { type: pkcs11js.CKA_VERIFY, kind: 'bool' },
  wrap: { type: pkcs11js.CKA_WRAP, kind: 'bool' },
  unwrap: { type: pkcs11js.CKA_UNWRAP, kind: 'bool' },
  derive: { type: pkcs11js.CKA_DERIVE, kind: 'bool' },
  copyable: { type: 0x171, kind: 'bool' },
  destroyable: { type: 0x172, kind: 'bool' },
  allowedMechanisms: { type: 0x40000600, kind: 'mechanisms' },
  modifiable: { type: pkcs11js.CKA_MODIFIABLE, kind: 'bool' },
} as const;

export type AttributeName = keyof typeof attributes;

interface Kinds {
  bool: boolean;
  ulong: number;
  text: string;
  bytes: Uint8Array;
  mechanisms: readonly number[];
}

export type AttributeValue<Name extends AttributeName> = Kinds[(typeof attributes)[Name]['kind']];
export type Template = { readonly [Name in AttributeName]?: AttributeValue<Name> } & {
  /** A vendor's own, by number. */
  readonly extras?: readonly VendorAttribute[] | undefined;
};

export interface VendorAttribute {
  readonly attribute: number;
  readonly value: boolean | number;
}

export interface EncodedAttribute {
  type: number;
  value: boolean | Buffer;
}

/**
 * The only place that makes templates for pkcs11js, which ends the process when an element is malformed. A wrong type does not compile;
 * a value left undefined is a fault of ours.
 */
export const encodeTemplate = (template: Template): EncodedAttribute[] => encodings.get(template) ?? encode(template);

/** Encodes a template that many calls use, once. Never one with a value in it that is a secret: it stays as long as the template. */
export function fixed(template: Template): Template {
  encodings.set(Object.freeze(template), encode(template));
  return template;
}

const encodings = new WeakMap<Template, EncodedAttribute[]>();

function encode(template: Template): EncodedAttribute[] {
  const { extras = [], ...named } = template;
  const encoded = attributeNames(named).map((name) => ({ type: attributes[name].type, value: encodeValue(name, named[name]) }));
  for (const { attribute, value } of extras) encoded.push({ type: attribute, value: typeof value === 'boolean' ? value : ulongs([value]) });
  // SoftHSM 2.6.1 applies attributes in order and takes none after MODIFIABLE = false.
  return encoded.sort((a, b) => Number(a.type === attributes.modifiable.type) - Number(b.type === attributes.modifiable.type));
}

/** Those that a template has, but for a vendor's own. */
export const attributeNames = (template: Template): AttributeName[] =>
  Object.keys(template).filter((name): name is AttributeName => name in attributes);

export const attributeType = (name: AttributeName): number => attributes[name].type;

function encodeValue(name: AttributeName, value: AttributeValue<AttributeName> | undefined): boolean | Buffer {
  if (typeof value === 'boolean') return value;
  if (typeof value === 'number') return ulongs([value]);
  if (typeof value === 'string') return Buffer.from(value, 'utf8');
  if (value instanceof Uint8Array) return Buffer.isBuffer(value) ? value : Buffer.from(value);
  if (Array.isArray(value)) return ulongs(value);
  throw new TypeError(`attribute ${name} has no value`);
}

/** What a token answered for attribute `name`. */
export const decodeValue = <Name extends AttributeName>(name: Name, value: Buffer): AttributeValue<Name> =>
  decoders[attributes[name].kind](value) as AttributeValue<Name>;

const decoders: { readonly [Kind in keyof Kinds]: (value: Buffer) => Kinds[Kind] } = {
  bool: (value) => value[0] === 1,
  ulong: (value) => readUlongs(value)[0] ?? Number.NaN,
  text: (value) => value.toString('utf8'),
  bytes: (value) => new Uint8Array(value),
  mechanisms: (value) => readUlongs(value),
};

/** CK_ULONG is C's unsigned long: 8 bytes in the byte order of the machine, on every platform with an LP64 ABI (not on Windows). */
export const ulongs = (values: readonly (number | bigint)[]): Buffer => Buffer.from(new BigUint64Array(values.map(BigInt)).buffer);

function readUlongs(value: Buffer): number[] {
  // A copy, since a Buffer of Node's pool may start anywhere and BigUint64Array wants a multiple of 8.
  return Array.from(new BigUint64Array(new Uint8Array(value).buffer), Number);
}
