import pkcs11js from 'pkcs11js';
import { type Bytes, constantTimeEqual, exactly } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import type { Template } from './attributes.ts';
import type { ReplicaToken } from './replica.ts';
import type { KeyHandle } from './session.ts';

/** Bytes that the token keeps for the daemon, in a data object: who served last. What they mean is daemon/tenure.ts's. */
const LENGTH = 32;
const MOST_OBJECTS = 16; // one, and what crashes left

/** Not a secret; PRIVATE so that nobody replaces it without the PIN. */
export const bootObject = (label: string, value: Uint8Array = new Uint8Array(LENGTH)): Template => ({
  class: pkcs11js.CKO_DATA,
  token: true,
  private: true,
  label,
  value,
});

/** TokenPort.readBootRecord. Of several, which only a crash leaves behind, the greatest counts: the record begins with its counters. */
export function readBootRecord(token: ReplicaToken): Bytes {
  const records = findRecords(token).map(({ value }) => value);
  const [first, ...others] = records;
  if (first === undefined) throw new VaultError('KEY_MISSING', `The token holds no data object ${token.bootLabel}.`);
  return others.reduce((greatest, record) => (Buffer.compare(record, greatest) > 0 ? record : greatest), first);
}

/** TokenPort.writeBootRecord: a new object, then away with the others, since SoftHSM lets nobody change the value of one. Takes some 10 ms. */
export function writeBootRecord(token: ReplicaToken, record: Uint8Array): void {
  const { session, bootLabel: label } = token;
  const made = session.create(bootObject(label, exactly(LENGTH, record, 'the boot record')));
  for (const { object, value } of findRecords(token))
    if (!object.equals(made) && !constantTimeEqual(value, record)) session.destroy(object);
}

function findRecords({ session, bootLabel: label }: ReplicaToken): { object: KeyHandle; value: Bytes }[] {
  return session.find({ class: pkcs11js.CKO_DATA, label }, MOST_OBJECTS).map((object) => {
    const value = session.read(object, 'value');
    if (value?.length !== LENGTH) throw new VaultError('TOKEN_FAULT', `The data object ${label} does not have its length.`);
    return { object, value: value as Bytes };
  });
}
