import type { Bytes } from '../../primitives/bytes.ts';
import { toHex } from '../../primitives/bytes.ts';
import type { Etcd } from './etcd.ts';

// What the operator published for clients, at b/<hash of the statement>: two epochs lie beside each other, and a replica finds its own.

const keyOf = (statementHash: Uint8Array): string => `b/${toHex(statementHash)}`;

/** Undefined if none was published. Throws STORE_UNAVAILABLE. */
export const readBundle = async (etcd: Etcd, statementHash: Uint8Array): Promise<Bytes | undefined> =>
  (await etcd.read(keyOf(statementHash)))[0]?.value;

/** In the place of the one before: a newer checkpoint. Throws OUTCOME_UNKNOWN, and may be made again. */
export async function writeBundle(etcd: Etcd, statementHash: Uint8Array, published: Uint8Array): Promise<void> {
  await etcd.commit({ conditions: [], writes: [{ put: keyOf(statementHash), value: published }], otherwise: [] });
}
