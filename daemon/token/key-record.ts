import type { AttributeName, Template } from './attributes.ts';
import type { KeyName } from './key-sets.ts';
import type { ReplicaToken } from './replica.ts';
import type { KeyHandle, TokenSession } from './session.ts';
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
export function deviations(token: ReplicaToken, name: KeyName, changes: Template = {}): string[] {
  const expected: Template = {
    ...expectedTemplate(token, name),
    ...changes,
    // Not in a template, and what the templates are for: the key was born here, and never could leave.
    ...(token.profile.local ? { local: true } : {}),
    alwaysSensitive: true,
    neverExtractable: true,
  };
  const names = Object.keys(expected) as AttributeName[];
  const actual = token.session.readAll(token.keys[name], names);
  return names.filter((attribute) => JSON.stringify(actual[attribute]) !== JSON.stringify(expected[attribute]));
}

function expectedTemplate(token: ReplicaToken, name: KeyName): Template {
  switch (name) {
    case 'session':
      return sessionKey(token.profile);
    case 'receipt':
      return receiptKey(token.profile);
    case 'mac':
      return macKey(token.profile);
    case 'kek-oprf':
      return kek('oprf', token.profile);
    case 'kek-auth':
      return kek('auth', token.profile);
    case 'kek-release':
      return kek('release', token.profile);
  }
}
