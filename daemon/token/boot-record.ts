import pkcs11js from 'pkcs11js';
import { type Bytes, constantTimeEqual, exactly } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import { bootLabel, type ReplicaToken } from './keys/replica.ts';
import { noUse, spoken } from './keys/templates.ts';
import type { Template } from './pkcs11/attributes.ts';
import type { KeyHandle } from './pkcs11/session.ts';
import type { Profile } from './profile.ts';

// Bytes that the token keeps for the daemon, in an object: who served last. What they mean is daemon/tenure.ts's.

type Kind = Profile['bootRecord'];

const LENGTH = 32;
const MOST_OBJECTS = 16; // one, and what crashes left

export const bootPlaces = {
  data: { class: pkcs11js.CKO_DATA, attribute: 'value' },
  'key-id': { class: pkcs11js.CKO_SECRET_KEY, attribute: 'id' },
} as const satisfies Record<Kind, { class: number; attribute: 'value' | 'id' }>;

/** Not a secret; PRIVATE, where the token can, so that nobody replaces it without the PIN. */
export const bootObject = (profile: Profile, label: string, record: Uint8Array = new Uint8Array(LENGTH)): Template => ({
  ...(profile.bootRecord === 'data'
    ? { class: pkcs11js.CKO_DATA, value: record }
    : { ...spoken('secretKey', profile, uselessKey), id: record }),
  token: true,
  private: profile.bootRecord === 'data' ? profile.private.data : profile.private.secretKey,
  label,
});

/** For a token without data objects, which reads no value of a key either: its name is the record. */
const uselessKey: Template = {
  class: pkcs11js.CKO_SECRET_KEY,
  keyType: pkcs11js.CKK_GENERIC_SECRET,
  value: new Uint8Array(LENGTH),
  ...noUse,
};

/** TokenPort.readBootRecord. Of several, which only a crash leaves behind, the greatest counts: the record begins with its counters. */
export function readBootRecord(token: ReplicaToken): Bytes {
  const records = findRecords(token).map(({ value }) => value);
  const [first, ...others] = records;
  if (first === undefined) throw new VaultError('KEY_MISSING', `The token holds no object ${bootLabel(token)}.`);
  return others.reduce((greatest, record) => (Buffer.compare(record, greatest) > 0 ? record : greatest), first);
}

/** TokenPort.writeBootRecord: a new object, then away with the others, since SoftHSM lets nobody change the value of one. Takes some 10 ms. */
export function writeBootRecord(token: ReplicaToken, record: Uint8Array): void {
  const { session, profile } = token;
  const made = session.create(bootObject(profile, bootLabel(token), exactly(LENGTH, record, 'the boot record')));
  for (const { object, value } of findRecords(token))
    if (!object.equals(made) && !constantTimeEqual(value, record)) session.destroy(object);
}

function findRecords(token: ReplicaToken): { object: KeyHandle; value: Bytes }[] {
  const { session, profile } = token;
  const label = bootLabel(token);
  const place = bootPlaces[profile.bootRecord];
  return session.find({ class: place.class, label }, MOST_OBJECTS).map((object) => {
    const value = session.read(object, place.attribute);
    if (value?.length !== LENGTH) throw new VaultError('TOKEN_FAULT', `The object ${label} does not have its length.`);
    return { object, value: value as Bytes };
  });
}
