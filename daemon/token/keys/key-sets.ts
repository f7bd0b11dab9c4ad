import pkcs11js from 'pkcs11js';
import type { KeyHandle, TokenSession } from '../pkcs11/session.ts';

// A replica's keys come in sets, one for each rotation: docs/adr/0019.

/** Whose keys they are. */
export interface KeyOwner {
  readonly fleet: string;
  readonly index: number;
}

/** A rotation makes these anew: what is stored is made and read with them. */
export const rotatedNames = ['oprf', 'release', 'mac'] as const;
/** The receipt key stays: what it signed is verified with the statement of its epoch, and it opens nothing. */
export const keyNames = [...rotatedNames, 'receipt'] as const;
/** Of those, the ones with a public half. */
export const pairNames = ['oprf', 'release', 'receipt'] as const;

export type KeyName = (typeof keyNames)[number];
export type RotatedName = (typeof rotatedNames)[number];
export type PairName = (typeof pairNames)[number];
export type RotatedKeys = Readonly<Record<RotatedName, KeyHandle>>;

/** The set that is made with the replica. Any other has the number of the epoch that it was made for. */
export const FIRST_SET = 1;

export const keyClasses: Record<KeyName, number> = {
  oprf: pkcs11js.CKO_PRIVATE_KEY,
  release: pkcs11js.CKO_PRIVATE_KEY,
  mac: pkcs11js.CKO_SECRET_KEY,
  receipt: pkcs11js.CKO_PRIVATE_KEY,
};

export const keyLabel = ({ fleet, index }: KeyOwner, name: KeyName, set: number): string =>
  `bkv/${fleet}/${index}/${name}${set === FIRST_SET || name === 'receipt' ? '' : `/${set}`}`;

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

const findIn = ({ objects }: KeySet, name: RotatedName, kind = keyClasses[name]): KeyHandle | undefined => {
  const [found, second] = objects.filter((each) => each.name === name && each.class === kind);
  return second === undefined ? found?.object : undefined;
};

/** Undefined where one of them is not there, or is there twice. */
export function keysOf(set: KeySet): RotatedKeys | undefined {
  const keys = rotatedNames.map((name) => [name, findIn(set, name)] as const);
  return keys.every(([, key]) => key !== undefined) ? (Object.fromEntries(keys) as RotatedKeys) : undefined;
}

/** Whether everything that a rotation makes is there, once. */
export const isComplete = (set: KeySet): boolean =>
  keysOf(set) !== undefined && pairNames.every((name) => name === 'receipt' || findIn(set, name, pkcs11js.CKO_PUBLIC_KEY) !== undefined);

/** The set in force under the statement of `epoch`: the last one not after it. */
export const inForce = <Set extends { readonly number: number }>(sets: readonly Set[], epoch: number): Set | undefined =>
  sets.findLast(({ number }) => number <= epoch);
