import { randomUUID } from 'node:crypto';
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { constantTimeEqual, toHex } from '../../primitives/bytes.ts';
import { type Hold, OwnerListSchema } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { type OwnerList, parseOwnerList, renderOwnerList } from '../../protocol/owner-list.ts';
import {
  type Counted,
  type Destroyed,
  encodeCounted,
  encodeDestroyed,
  encodeGeneration,
  type Generation,
  type Guarded,
} from './guarded.ts';
import { encodeHold } from './hold.ts';
import type { Operation } from './numbered-store.ts';
import { encodeSeedShare, type KeptShare } from './seed-share.ts';

// Which key of the guard's store holds what, and the writes that its changes are made of.
//
// live/<rid>          the generation served
// prep/<rid>/<g>      generations that may have been committed
// h/<rid>/<k>         attempts counted
// full/<rid>          every attempt of the live generation is counted; 1 once this replica said so, and begins no hold any more
// gone/<rid>/<line>   the latest generation of a line that was destroyed
// hold/<rid>/<h>      what became of the proof of an attempt of the live generation
// list/<rid>          what the owner of the live generation keeps beside it
// kept/<rid>/<i>      a share of the seed of replica i
// deal/<rid>          the seed of the live generation is not yet shared with all others
// changes/<rid>       how often another generation, or none, became the one served
// purge/<rid>/<uuid>  a key at which the files of the store may still hold a generation that was dropped
export const keys = {
  identity: 'identity',
  incarnation: 'store-incarnation', // of etcd, under which this replica served last
  others: 'others', // the guards that seeds are shared among
  boot: 'boot', // who served last, as the token has it too
  live: (rid: string) => `live/${rid}`,
  prepared: (rid: string, g = '') => `prep/${rid}/${g}`,
  counted: (rid: string, attempt?: number) => `h/${rid}/${attempt === undefined ? '' : String(attempt).padStart(3, '0')}`,
  full: (rid: string) => `full/${rid}`,
  gone: (rid: string, line = '') => `gone/${rid}/${line}`,
  hold: (rid: string, pointHash = '') => `hold/${rid}/${pointHash}`,
  list: (rid: string) => `list/${rid}`,
  kept: (rid: string, owner?: number) => `kept/${rid}/${owner === undefined ? '' : String(owner).padStart(2, '0')}`,
  deal: (rid: string) => `deal/${rid}`,
  changes: (rid: string) => `changes/${rid}`,
  purge: (rid: string) => `purge/${rid}/`,
};

export const put = (key: string, value: Uint8Array): Operation => ({ type: 'put', key, value });

export const del = (key: string): Operation => ({ type: 'del', key });

const preparedKey = ({ body }: Generation) => keys.prepared(toHex(body.rid), toHex(body.g));

export const putLive = (generation: Generation) => put(keys.live(toHex(generation.body.rid)), encodeGeneration(generation));

export const putPrepared = (generation: Generation) => put(preparedKey(generation), encodeGeneration(generation));

export const putCounted = (rid: string, attempt: number, counted: Counted) => put(keys.counted(rid, attempt), encodeCounted(counted));

export const putFull = (rid: string) => put(keys.full(rid), new Uint8Array(0));

export const putGone = (rid: string, destroyed: Destroyed) => put(keys.gone(rid, toHex(destroyed.line)), encodeDestroyed(destroyed));

export const putList = (rid: string, list: OwnerList, isReplacing: boolean): Operation[] => [
  put(keys.list(rid), toBinary(OwnerListSchema, renderOwnerList(list))),
  ...(isReplacing ? [owePurge(rid, keys.list(rid))] : []),
];

export const dropList = (rid: string): Operation[] => [del(keys.list(rid)), owePurge(rid, keys.list(rid))];

export const decodeList = (value: Uint8Array): OwnerList => parseOwnerList(fromBinary(OwnerListSchema, value));

/** In the place of one that was there, of another generation. */
export const putKept = (rid: string, share: KeptShare, before: KeptShare | undefined): Operation[] => [
  put(keys.kept(rid, share.owner), encodeSeedShare(share)),
  ...(before && !constantTimeEqual(before.g, share.g) ? [owePurge(rid, keys.kept(rid, share.owner))] : []),
];

export const dropKept = (rid: string, kept: readonly KeptShare[]): Operation[] =>
  kept.map(({ owner }) => keys.kept(rid, owner)).flatMap((key) => [del(key), owePurge(rid, key)]);

export const oweDeal = (rid: string) => put(keys.deal(rid), new Uint8Array(0));

/** A name of its own for each: one that comes while another one is purged is not taken for that. */
const owePurge = (rid: string, key: string) => put(`${keys.purge(rid)}${randomUUID()}`, Buffer.from(key));

/** Of a generation that is served no more. It lay at another key while it was prepared. */
export const purgeLive = (rid: string, generation: Generation) =>
  [keys.live(rid), preparedKey(generation)].map((key) => owePurge(rid, key));

const dropPrepared = (rid: string, generation: Generation) => [del(preparedKey(generation)), owePurge(rid, preparedKey(generation))];

/** Prepared generations, but for one that is made live: it goes on at another key. */
export function drop(rid: string, prepared: readonly Generation[], promoted?: Generation): Operation[] {
  const isPromoted = ({ body }: Generation) => promoted !== undefined && constantTimeEqual(body.g, promoted.body.g);
  return prepared.flatMap((each) => (isPromoted(each) ? [del(preparedKey(each))] : dropPrepared(rid, each)));
}

export const putHold = (rid: string, pointHash: Uint8Array, hold: Hold) => put(keys.hold(rid, toHex(pointHash)), encodeHold(hold));

export const dropCounted = (rid: string, { counted }: Guarded): Operation[] => [
  ...[...counted.keys()].map((attempt) => del(keys.counted(rid, attempt))),
  del(keys.full(rid)),
];
