import type { AttributeName, Template } from '../pkcs11/attributes.ts';
import type { KeyHandle, TokenSession } from '../pkcs11/session.ts';
import type { Profile } from '../profile.ts';
import { inheritedKek, inheritedMac } from './heir-templates.ts';
import { type KeyName, type Lineage, lineageOf, type StorageName, storageNames } from './key-sets.ts';
import type { ReplicaToken, TokenWith } from './replica.ts';
import { kek, macKey, receiptKey, sessionKey } from './templates.ts';

/** A key as its token describes it, in plain JSON. UNWRAP_TEMPLATE cannot be read safely (attributes.ts): the self-test shows its effect. */
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
  'trusted',
  'modifiable',
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

/** What the template of `name`, but for `changes`, asks for and the token does not say of the key. Empty if all is well. */
export function deviations<Name extends KeyName>(
  { session, profile, keys }: TokenWith<Name>,
  name: Name,
  changes: Template = {},
): string[] {
  const key = keys[name];
  const lineage = isStorage(name) ? lineageOf(session, key) : 'alone';
  const template = lineage === 'inherited' ? inherited[name as StorageName] : made[name];
  const expected: Template = { ...template(profile), ...changes, ...history(lineage, profile) };
  const names = Object.keys(expected) as AttributeName[];
  const actual = session.readAll(key, names);
  return names.filter((attribute) => JSON.stringify(actual[attribute]) !== JSON.stringify(expected[attribute]));
}

/** Not in a template, and what the templates are for: the key was born here, and never could leave. Or when it could. */
function history(lineage: Lineage, profile: Profile): Template {
  switch (lineage) {
    case 'alone':
      return { ...bornHere(profile), alwaysSensitive: true, neverExtractable: true };
    case 'bequeathed':
      return { ...bornHere(profile), ...(profile.copy ? { alwaysSensitive: true } : {}) }; // of the draft, which the copy keeps
    case 'inherited':
      return {}; // of what was unwrapped, a token knows no history
  }
}

const bornHere = ({ local }: Profile): Template => (local ? { local: true } : {});

const isStorage = (name: KeyName): name is StorageName => (storageNames as readonly KeyName[]).includes(name);

type TemplateOf = (profile: Profile) => Template;

const made: Readonly<Record<KeyName, TemplateOf>> = {
  session: sessionKey,
  receipt: receiptKey,
  mac: macKey,
  'kek-oprf': (profile) => kek('oprf', profile),
  'kek-auth': (profile) => kek('auth', profile),
  'kek-release': (profile) => kek('release', profile),
};

const inherited: Readonly<Record<StorageName, TemplateOf>> = {
  mac: inheritedMac,
  'kek-oprf': (profile) => inheritedKek('oprf', profile),
  'kek-auth': (profile) => inheritedKek('auth', profile),
  'kek-release': (profile) => inheritedKek('release', profile),
};
