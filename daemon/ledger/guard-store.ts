import { z } from 'zod';
import type { Millis } from '../../primitives/brand.ts';
import { type Bytes, constantTimeEqual, fromHex, toHex, uint64 } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import type { Hold } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { comesAfter, G_LENGTH, HASH_LENGTH } from '../../protocol/body.ts';
import type { OwnerList } from '../../protocol/owner-list.ts';
import type { Destruction } from './destruction.ts';
import { GroupCommit } from './group-commit.ts';
import {
  decodeList,
  del,
  drop,
  dropCounted,
  dropKept,
  dropList,
  keys,
  oweDeal,
  purgeLive,
  put,
  putCounted,
  putFull,
  putGone,
  putHold,
  putKept,
  putList,
  putLive,
  putPrepared,
} from './guard-layout.ts';
import {
  type Counted,
  covers,
  decodeCounted,
  decodeDestroyed,
  decodeGeneration,
  type Generation,
  type GrantedPoint,
  type Guarded,
  isUnknownEnd,
} from './guarded.ts';
import { decodeHold } from './hold.ts';
import { decodeNumber, NumberedStore, type Operation } from './numbered-store.ts';
import { onDisk } from './on-disk.ts';
import { decodeSeedShare, isSucceeded, type KeptShare } from './seed-share.ts';
import type { StoreMemory } from './transactions.ts';

const identitySchema = z.strictObject({ fleet: z.string(), replica: z.int(), incarnation: z.int() });

/** Whose guard it is: written at creation, compared at every start. */
export type GuardIdentity = z.infer<typeof identitySchema>;

/** What others remember of what a guard served that was lost. */
export interface Remembered {
  readonly points: readonly GrantedPoint[];
  /** By the hash of the point, in hexadecimal. */
  readonly decided: ReadonlyMap<string, Hold>;
  readonly list: OwnerList | undefined;
}

const PURGED_AT_ONCE = 16;
const OWED_AT_ONCE = 1000;

/** The guard on disk: which key holds what. What may be written is decided in guard.ts. */
export class GuardStore {
  readonly #store: NumberedStore;
  /** Whoever asks while one is under way, which may not see what they did before, shares the next. */
  readonly #purges = new GroupCommit<never>(() => this.#purgeAll());
  #isClosing = false;

  private constructor(store: NumberedStore) {
    this.#store = store;
  }

  /** The explicit command that a new replica needs. Throws GUARD_MISMATCH where there is a store already. */
  static create(directory: string, identity: GuardIdentity): Promise<void> {
    return NumberedStore.create(directory, keys.identity, Buffer.from(JSON.stringify(identity)));
  }

  /** Throws GUARD_MISSING, GUARD_MISMATCH, GUARD_FAILING. */
  static open(directory: string, identity: GuardIdentity): Promise<GuardStore> {
    return onDisk(async () => {
      const store = await NumberedStore.open(directory);
      try {
        await expectIdentity(store, directory, identity);
        return new GuardStore(store);
      } catch (error) {
        await store.close();
        throw error;
      }
    });
  }

  async read(ridBytes: Uint8Array): Promise<Guarded> {
    const rid = toHex(ridBytes);
    const [live, prepared, counted, gone] = await Promise.all([
      this.#store.get(keys.live(rid)),
      this.#store.entries(keys.prepared(rid)),
      this.#store.entries(keys.counted(rid)),
      this.#store.entries(keys.gone(rid)),
    ]);
    return {
      live: live && decodeGeneration(live),
      prepared: prepared.map(([, value]) => decodeGeneration(value)),
      counted: new Map(counted.map(([key, value]) => [Number(key.slice(-3)), decodeCounted(value)])),
      destroyed: gone.map(([key, value]) => decodeDestroyed(Buffer.from(key.slice(-2 * G_LENGTH), 'hex'), value)),
    };
  }

  async putPrepared(generation: Generation, evicted: Generation | undefined): Promise<void> {
    const rid = toHex(generation.body.rid);
    await this.#store.write([putPrepared(generation), ...drop(rid, evicted ? [evicted] : [])]);
  }

  /**
   * Makes `generation` the live one. Of others only those remain that are prepared and come after it. t guards may have prepared one, and it may be
   * in force already: an etcd that shows each of them something else must not have it dropped by all.
   */
  async replaceLive(generation: Generation, before: Guarded): Promise<void> {
    const rid = toHex(generation.body.rid);
    const dropped = before.prepared.filter((each) => !comesAfter(each, generation));
    const replaced = before.live ? purgeLive(rid, before.live) : [];
    const isOwners = before.live !== undefined && constantTimeEqual(before.live.body.ownerKey, generation.body.ownerKey);
    const kept = (await this.kept(generation.body.rid)).filter((share) => isSucceeded(share, generation.body));
    await this.#store.write([
      ...drop(rid, dropped, generation),
      ...dropCounted(rid, before),
      ...(await this.#dropHolds(generation.body.rid)),
      ...(isOwners ? [] : await this.#dropList(generation.body.rid)),
      ...replaced,
      ...dropKept(rid, kept),
      oweDeal(rid),
      await this.#countChange(rid),
      putLive(generation),
    ]);
  }

  /** `isFull`: with them every attempt is counted. */
  async putCounted(ridBytes: Uint8Array, counted: ReadonlyMap<number, Counted>, isFull: boolean): Promise<void> {
    const rid = toHex(ridBytes);
    const isNews = isFull && (await this.#store.get(keys.full(rid))) === undefined; // it may have been said since, too
    await this.#store.write([...[...counted].map(([attempt, each]) => putCounted(rid, attempt, each)), ...(isNews ? [putFull(rid)] : [])]);
  }

  /** A live generation, and what others remember of it, in a guard that knows nothing of the record. */
  async restore(generation: Generation, { points, decided, list }: Remembered, atMs: Millis): Promise<void> {
    const rid = toHex(generation.body.rid);
    const { limit } = generation.body.policy;
    await this.#store.write([
      putLive(generation),
      oweDeal(rid),
      await this.#countChange(rid),
      ...points.map((point, i) => putCounted(rid, i + 1, { ...point, atMs })),
      ...(points.length >= limit ? [putFull(rid)] : []),
      ...[...decided].map(([pointHash, hold]) => putHold(rid, fromHex(pointHash, 'a point’s hash'), hold)),
      ...(list ? putList(rid, list, false) : []),
    ]);
  }

  /** Drops what is to go, and remembers what shows that it is over, in the place of what knew it by its name alone. */
  async destroy(ridBytes: Uint8Array, before: Guarded, { remembered, dropped, endsTickets }: Destruction): Promise<void> {
    const rid = toHex(ridBytes);
    const { live, prepared, destroyed } = before;
    const isLive = live && dropped.includes(live);
    const known = destroyed.filter((each) => isUnknownEnd(each) && constantTimeEqual(each.g, remembered.g));
    const kept = (await this.kept(ridBytes)).filter((share) => covers(remembered, share));
    await this.#store.write([
      ...drop(
        rid,
        prepared.filter((each) => dropped.includes(each)),
      ),
      ...(isLive ? [...dropCounted(rid, before), del(keys.live(rid)), del(keys.deal(rid)), ...purgeLive(rid, live)] : []),
      ...(isLive ? [...(await this.#dropHolds(ridBytes)), ...(await this.#dropList(ridBytes))] : []),
      ...dropKept(rid, kept),
      ...(isLive || endsTickets ? [await this.#countChange(rid)] : []),
      ...known.map(({ line }) => del(keys.gone(rid, toHex(line)))),
      putGone(rid, remembered),
    ]);
  }

  /** Whether the store's files may still hold a generation of the record that was dropped or replaced. */
  async owesPurge(rid: Uint8Array): Promise<boolean> {
    return (await this.#store.entries(keys.purge(toHex(rid)), 1)).length > 0;
  }

  /** After it they hold none that was dropped or replaced before, of any record. */
  purge(): Promise<void> {
    return this.#purges.write([]);
  }

  async #purgeAll(): Promise<void> {
    const owed = await this.#store.entries('purge/'); // what is owed from now on is for the next run: it may come faster than it is purged
    while (owed.length > 0) {
      if (this.#isClosing) throw new Error('the guard is closed first');
      const some = owed.splice(0, PURGED_AT_ONCE);
      const dropped = some.map(([, key]) => Buffer.from(key).toString());
      const settled = some.map(([key]) => del(key));
      await this.#store.purge([...new Set(dropped)], settled);
    }
  }

  /** What the owner keeps beside the record. */
  async list(rid: Uint8Array): Promise<OwnerList | undefined> {
    const value = await this.#store.get(keys.list(toHex(rid)));
    return value && decodeList(value);
  }

  async putList(rid: Uint8Array, list: OwnerList): Promise<void> {
    await this.#store.write(putList(toHex(rid), list, (await this.list(rid)) !== undefined));
  }

  /** By the hash of the point, in hexadecimal. */
  async holds(rid: Uint8Array): Promise<Map<string, Hold>> {
    const entries = await this.#store.entries(keys.hold(toHex(rid)));
    return new Map(entries.map(([key, value]) => [key.slice(-2 * HASH_LENGTH), decodeHold(value)]));
  }

  async putHold(rid: Uint8Array, pointHash: Uint8Array, hold: Hold): Promise<void> {
    await this.#store.write([putHold(toHex(rid), pointHash, hold)]);
  }

  /** `full` with a value: it was said, too. */
  async holdsNoMore(rid: Uint8Array): Promise<boolean> {
    return ((await this.#store.get(keys.full(toHex(rid))))?.length ?? 0) > 0;
  }

  async putHoldNoMore(rid: Uint8Array): Promise<void> {
    await this.#store.write([put(keys.full(toHex(rid)), Uint8Array.of(1))]);
  }

  /** As NumberedStore.sequence */
  get sequence(): bigint {
    return this.#store.sequence;
  }

  /** Shares of others' seeds. */
  async kept(rid: Uint8Array): Promise<KeptShare[]> {
    const entries = await this.#store.entries(keys.kept(toHex(rid)));
    return entries.map(([key, value]) => decodeSeedShare(Number(key.slice(-2)), value));
  }

  /** In the place of `before`, of the same owner. */
  async putKept(rid: Uint8Array, share: KeptShare, before: KeptShare | undefined): Promise<void> {
    await this.#store.write(putKept(toHex(rid), share, before));
  }

  /** Records of which the seed of the live generation is not yet shared with all others. */
  undealt(): AsyncIterable<Uint8Array> {
    return this.#ridsUnder('deal/');
  }

  /** Where seeds were shared among other guards than these, all are to be shared anew: one that was lost has lost its shares. */
  async oweDealsTo(others: string): Promise<void> {
    const known = await this.#store.get(keys.others);
    if (known && Buffer.from(known).toString() === others) return;
    const owed: Operation[] = [];
    for await (const rid of this.#ridsUnder('live/')) {
      owed.push(oweDeal(toHex(rid)));
      if (owed.length === OWED_AT_ONCE) await this.#store.write(owed.splice(0));
    }
    await this.#store.write([...owed, put(keys.others, Buffer.from(others))]);
  }

  async putDealt(rid: Uint8Array): Promise<void> {
    await this.#store.write([del(keys.deal(toHex(rid)))]);
  }

  /** How often the record's live generation changed here. Only goes up, and stays when all else of the record is gone. */
  async changes(rid: Uint8Array): Promise<bigint> {
    return decodeNumber(await this.#store.get(keys.changes(toHex(rid))));
  }

  /** Records of which every attempt of the live generation is counted. */
  full(): AsyncIterable<Uint8Array> {
    return this.#ridsUnder('full/');
  }

  /** Records of which something is served or prepared; some twice. */
  async *rids(): AsyncIterable<Uint8Array> {
    yield* this.#ridsUnder('live/');
    yield* this.#ridsUnder('prep/');
  }

  /** Every generation that is served or prepared. */
  async *generations(): AsyncIterable<Generation & { readonly state: 'live' | 'prepared' }> {
    for (const [state, prefix] of [
      ['live', 'live/'],
      ['prepared', 'prep/'],
    ] as const)
      for await (const key of this.#store.keys(prefix)) {
        const value = await this.#store.get(key);
        if (value) yield { state, ...decodeGeneration(value) };
      }
  }

  async *#ridsUnder(prefix: string): AsyncIterable<Uint8Array> {
    for await (const key of this.#store.keys(prefix)) yield Buffer.from(key.slice(prefix.length).split('/')[0] as string, 'hex');
  }

  /** 32 bytes; zeros in a guard that never served. Throws GUARD_FAILING. */
  async readBootRecord(): Promise<Bytes> {
    return new Uint8Array((await onDisk(() => this.#store.get(keys.boot))) ?? new Uint8Array(32));
  }

  /** Throws GUARD_FAILING. */
  async writeBootRecord(record: Uint8Array): Promise<void> {
    await onDisk(() => this.#store.write([put(keys.boot, record)]));
  }

  /** What this replica remembers of etcd. Throws GUARD_FAILING. */
  async memory(): Promise<StoreMemory> {
    const incarnation = await onDisk(() => this.#store.get(keys.incarnation));
    const first = await onDisk(() => Promise.all(['live/', 'prep/'].map((prefix) => this.#store.entries(prefix, 1))));
    return { holdsRecords: first.flat().length > 0, incarnation: incarnation ? Number(Buffer.from(incarnation).toString()) : 0 };
  }

  /** The first write of a start. Throws GUARD_FAILING. */
  rememberIncarnation(incarnation: number): Promise<void> {
    return onDisk(() => this.#store.write([put(keys.incarnation, Buffer.from(String(incarnation)))]));
  }

  /** A purge under way is ended; the next start finds what is left of it. */
  async close(): Promise<void> {
    this.#isClosing = true;
    await this.#purges.idle();
    await this.#store.close();
  }

  async #dropHolds(rid: Uint8Array): Promise<Operation[]> {
    const held = await this.#store.entries(keys.hold(toHex(rid)));
    return held.map(([key]) => del(key));
  }

  async #dropList(rid: Uint8Array): Promise<Operation[]> {
    return (await this.list(rid)) ? dropList(toHex(rid)) : [];
  }

  async #countChange(rid: string): Promise<Operation> {
    return put(keys.changes(rid), uint64((await this.changes(Buffer.from(rid, 'hex'))) + 1n));
  }
}

async function expectIdentity(store: NumberedStore, directory: string, identity: GuardIdentity): Promise<void> {
  const stored = await store.get(keys.identity);
  const found = identitySchema.safeParse(stored && JSON.parse(Buffer.from(stored).toString()));
  if (!found.success || JSON.stringify(found.data) !== JSON.stringify(identitySchema.parse(identity)))
    throw new VaultError(
      'GUARD_MISMATCH',
      `The guard in ${directory} is not that of replica ${identity.replica} of fleet ${identity.fleet}, incarnation ${identity.incarnation}.`,
    );
}
