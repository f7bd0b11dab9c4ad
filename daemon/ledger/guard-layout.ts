import { randomUUID } from 'node:crypto';
import { constantTimeEqual, toHex } from '../../primitives/bytes.ts';
import { type Counted, encodeCounted, encodeGeneration, type Generation, type Guarded } from './guarded.ts';
import type { Operation } from './numbered-store.ts';

// Which key of the guard's store holds what, and the writes that its changes are made of.
//
// live/<rid>          the generation served
// prep/<rid>/<g>      generations that may have been committed
// h/<rid>/<k>         attempts counted
// full/<rid>          every attempt of the live generation is counted
// changes/<rid>       how often another generation, or none, became the one served
// purge/<rid>/<uuid>  a key at which the files of the store may still hold a generation that was dropped
export const keys = {
  identity: 'identity',
  incarnation: 'store-incarnation', // of etcd, under which this replica served last
  boot: 'boot', // who served last, as the token has it too
  live: (rid: string) => `live/${rid}`,
  prepared: (rid: string, g = '') => `prep/${rid}/${g}`,
  counted: (rid: string, attempt?: number) => `h/${rid}/${attempt === undefined ? '' : String(attempt).padStart(3, '0')}`,
  full: (rid: string) => `full/${rid}`,
  changes: (rid: string) => `changes/${rid}`,
  purge: (rid: string) => `purge/${rid}/`,
};

export const putLive = (generation: Generation): Operation => ({
  type: 'put',
  key: keys.live(toHex(generation.body.rid)),
  value: encodeGeneration(generation),
});

export const putPrepared = (generation: Generation): Operation => ({
  type: 'put',
  key: keys.prepared(toHex(generation.body.rid), toHex(generation.body.g)),
  value: encodeGeneration(generation),
});

export const putCounted = (rid: string, attempt: number, counted: Counted): Operation => ({
  type: 'put',
  key: keys.counted(rid, attempt),
  value: encodeCounted(counted),
});

/** A name of its own for each: one that comes while another one is purged is not taken for that. */
const owePurge = (rid: string, key: string): Operation => ({
  type: 'put',
  key: `${keys.purge(rid)}${randomUUID()}`,
  value: Buffer.from(key),
});

/** Of a generation that is served no more. It lay at another key while it was prepared. */
export const purgeLive = (rid: string, { body }: Generation): Operation[] =>
  [keys.live(rid), keys.prepared(rid, toHex(body.g))].map((key) => owePurge(rid, key));

const delPrepared = (rid: string, { body }: Generation): Operation => ({ type: 'del', key: keys.prepared(rid, toHex(body.g)) });

export const dropPrepared = (rid: string, generation: Generation): Operation[] => {
  const operation = delPrepared(rid, generation);
  return [operation, owePurge(rid, operation.key)];
};

export const putFull = (rid: string): Operation => ({ type: 'put', key: keys.full(rid), value: new Uint8Array(0) });

/** All that is there but the live generation and what is prepared to replace `g`. */
export function clear(rid: string, before: Guarded, g: Uint8Array): Operation[] {
  const isPromoted = ({ body }: Generation) => constantTimeEqual(body.g, g); // it goes on at another key
  const dropped = before.prepared.filter(({ body }) => !constantTimeEqual(body.previous, g));
  return [
    ...dropped.flatMap((each) => (isPromoted(each) ? [delPrepared(rid, each)] : dropPrepared(rid, each))),
    ...[...before.counted.keys()].map((attempt): Operation => ({ type: 'del', key: keys.counted(rid, attempt) })),
    { type: 'del', key: keys.full(rid) },
  ];
}
