import type { AttributeName, Template } from '../pkcs11/attributes.ts';
import type { KeyHandle, TokenSession } from '../pkcs11/session.ts';
import type { KeyName } from './key-sets.ts';
import type { ReplicaToken, TokenWith } from './replica.ts';
import { keyTemplates, noUse } from './templates.ts';

/** A key as its token describes it, in plain JSON. */
export interface KeyRecord {
  readonly name: KeyName;
  readonly label: string;
  readonly attributes: Readonly<Record<string, boolean>>;
  readonly allowedMechanisms: readonly string[];
}

const flags = [
  'token',
  'private',
  'sensitive',
  'extractable',
  'alwaysSensitive',
  'neverExtractable',
  'local',
  'encrypt',
  'decrypt',
  'sign',
  'verify',
  'wrap',
  'unwrap',
  'derive',
  'modifiable',
  'copyable',
  'destroyable',
] as const satisfies AttributeName[];

export const readKeys = (token: ReplicaToken): KeyRecord[] =>
  Object.entries(token.keys).map(([name, key]) => readKey(token.session, name as KeyName, key));

function readKey(session: TokenSession, name: KeyName, key: KeyHandle): KeyRecord {
  const read = flags.map((flag) => [flag, session.read(key, flag)] as const);
  return {
    name,
    label: session.read(key, 'label') ?? '',
    // A kind of key that lacks an attribute (a private key has no ENCRYPT) lacks it here too.
    attributes: Object.fromEntries(read.filter((entry): entry is [(typeof flags)[number], boolean] => entry[1] !== undefined)),
    allowedMechanisms: (session.read(key, 'allowedMechanisms') ?? []).map((mechanism) => `0x${mechanism.toString(16)}`),
  };
}

/**
 * What of its template, and of a key that was born in the token and never could leave it, the token does not say of key `name`. Empty if all
 * is well. What protects the key is asked for whatever was sent; `changes` are for keys that live for a test.
 */
export function deviations<Name extends KeyName>(
  { session, profile, keys }: TokenWith<Name>,
  name: Name,
  changes: Template = {},
): string[] {
  const history: Template = { alwaysSensitive: true, neverExtractable: true, ...(profile.local ? { local: true } : {}) };
  const expected: Template = { ...keyTemplates[name](profile), ...history, ...changes };
  const names = Object.keys(expected) as AttributeName[];
  const actual = session.readAll(keys[name], names);
  const omitted: readonly string[] = profile.neverSend?.[name === 'mac' ? 'secretKey' : 'privateKey'] ?? [];
  return names.filter((attribute) => {
    if (JSON.stringify(actual[attribute]) === JSON.stringify(expected[attribute])) return false;
    if (youngAttributes.has(attribute)) return !(actual[attribute] === undefined || omitted.includes(attribute));
    return !(actual[attribute] === undefined && Object.hasOwn(noUse, attribute)); // uses do not exist for every kind of key
  });
}

/** Of PKCS#11 2.20 and 2.40: tokens may not know them, and what they do is shown by what is refused. */
const youngAttributes: ReadonlySet<AttributeName> = new Set(['copyable', 'destroyable', 'allowedMechanisms']);
