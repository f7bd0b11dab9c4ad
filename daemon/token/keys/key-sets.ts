import pkcs11js from 'pkcs11js';
import { toHex, utf8 } from '../../../primitives/bytes.ts';
import type { KeyHandle, TokenSession } from '../pkcs11/session.ts';

// A replica's keys come in sets, one for each rotation: docs/adr/0019.

/** Whose keys they are. */
export interface KeyOwner {
  readonly fleet: string;
  readonly index: number;
}

/** What the replica's stored values are made and read with. */
export const storageNames = ['mac', 'kek-oprf', 'kek-auth', 'kek-release'] as const;
export const keyNames = ['session', 'receipt', ...storageNames] as const;
/** A rotation makes these anew. Not the receipt key: what it signed is verified with the statement of its epoch, and it opens nothing. */
export const rotatedNames = ['session', ...storageNames] as const;

export type KeyName = (typeof keyNames)[number];
export type StorageName = (typeof storageNames)[number];
type RotatedName = (typeof rotatedNames)[number];
export type StorageKeys = Readonly<Record<StorageName, KeyHandle>>;

/** The set that is made with the replica. Any other has the number of the epoch that it was made for. */
export const FIRST_SET = 1;

export const keyClasses: Record<KeyName, number> = {
  session: pkcs11js.CKO_PRIVATE_KEY,
  receipt: pkcs11js.CKO_PRIVATE_KEY,
  mac: pkcs11js.CKO_SECRET_KEY,
  'kek-oprf': pkcs11js.CKO_SECRET_KEY,
  'kek-auth': pkcs11js.CKO_SECRET_KEY,
  'kek-release': pkcs11js.CKO_SECRET_KEY,
};

export const keyLabel = ({ fleet, index }: KeyOwner, name: KeyName, set: number): string =>
  `bkv/${fleet}/${index}/${name}${set === FIRST_SET || name === 'receipt' ? '' : `/${set}`}`;

/**
 * Whether a key that stores is in another token as well (docs/adr/0020): `alone` is not; of a `bequeathed` one an heir was given a copy when
 * it was made; an `inherited` one is that copy, for reading only. Its CKA_ID says so, for good: no key is MODIFIABLE.
 */
export type Lineage = 'alone' | 'bequeathed' | 'inherited';

/**
 * The CKA_ID of a key that is in two tokens, in plain text: its name, and the beginning of the hash of what the heir wrote of itself. NSS
 * softokn takes two keys of one CKA_ID for one.
 */
export const lineageId = (lineage: Exclude<Lineage, 'alone'>, name: RotatedName, set: number, heir: Uint8Array): Uint8Array =>
  utf8(`${lineage} ${name}/${set} ${toHex(heir.subarray(0, 8))}`);

export function lineageOf(session: TokenSession, key: KeyHandle): Lineage {
  const id = Buffer.from(session.read(key, 'id') ?? []).toString();
  return (['bequeathed', 'inherited'] as const).find((lineage) => id.startsWith(`${lineage} `)) ?? 'alone';
}

interface SetObject {
  readonly name: RotatedName;
  readonly class: number;
  readonly object: KeyHandle;
}

/** What the token holds of one set. */
export interface KeySet {
  readonly number: number;
  readonly objects: readonly SetObject[];
}

const MOST_OBJECTS = 100_000; // the token may be shared

/** By number, ascending. */
export function findKeySets(session: TokenSession, owner: KeyOwner): KeySet[] {
  const sets = new Map<number, SetObject[]>();
  // Token objects alone: those of a session that works meanwhile come and go.
  for (const kind of [pkcs11js.CKO_SECRET_KEY, pkcs11js.CKO_PRIVATE_KEY, pkcs11js.CKO_PUBLIC_KEY])
    for (const object of session.find({ class: kind, token: true }, MOST_OBJECTS)) {
      const found = parseLabel(owner, session.read(object, 'label') ?? '');
      if (found === undefined) continue;
      const objects = sets.get(found.set) ?? [];
      objects.push({ name: found.name, class: kind, object });
      sets.set(found.set, objects);
    }
  return Array.from(sets, ([number, objects]) => ({ number, objects })).sort((a, b) => a.number - b.number);
}

function parseLabel(owner: KeyOwner, label: string): { name: RotatedName; set: number } | undefined {
  const set = Number(/\/([1-9]\d*)$/.exec(label)?.[1] ?? FIRST_SET);
  const name = rotatedNames.find((each) => keyLabel(owner, each, set) === label);
  return name && { name, set };
}

/** Whether all of it came from another token. */
export const isInherited = (session: TokenSession, { objects }: KeySet): boolean =>
  objects.every(({ object }) => lineageOf(session, object) === 'inherited');

const findIn = ({ objects }: KeySet, name: RotatedName, kind = keyClasses[name]): KeyHandle | undefined => {
  const [found, second] = objects.filter((each) => each.name === name && each.class === kind);
  return second === undefined ? found?.object : undefined;
};

/** Whether every key of a rotation is there, once. */
export const isComplete = (set: KeySet): boolean =>
  rotatedNames.every((name) => findIn(set, name)) && findIn(set, 'session', pkcs11js.CKO_PUBLIC_KEY) !== undefined;

/** Undefined where one of them is not there, or is there twice. */
export function storageKeysOf(set: KeySet): StorageKeys | undefined {
  const keys = storageNames.map((name) => [name, findIn(set, name)] as const);
  return keys.every(([, key]) => key !== undefined) ? (Object.fromEntries(keys) as StorageKeys) : undefined;
}

/** The set in force under the statement of `epoch`: the last one not after it. */
export const inForce = <Set extends { readonly number: number }>(sets: readonly Set[], epoch: number): Set | undefined =>
  sets.findLast(({ number }) => number <= epoch);
