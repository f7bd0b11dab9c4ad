import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { toHex } from '../../primitives/bytes.ts';
import type { VaultError } from '../../primitives/errors.ts';
import { BodySchema } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { parseBody } from '../../protocol/body.ts';
import { PATIENCE } from '../../test/harness/patience.ts';
import { Guard } from './guard.ts';
import { type GuardIdentity, GuardStore } from './guard-store.ts';
import { type End, type Generation, unknownEnd } from './guarded.ts';
import { Mark } from './mark.ts';

const identity: GuardIdentity = { fleet: 'test', replica: 1, incarnation: 1 };
const rid = new Uint8Array(32).fill(7);
const fill = (n: number, length: number) => new Uint8Array(length).fill(n);
const point = Uint8Array.of(2, ...fill(1, 32));

function generation(n: number, { limit = 2, coolDownMs = 0n, enrolledAtMs = BigInt(n) } = {}): Generation {
  const body = create(BodySchema, {
    version: 1,
    fleet: 'test',
    epoch: 1n,
    rid,
    g: fill(n, 16),
    threshold: 2,
    shares: [1, 2].map((index) => ({ index, x: index, mask: fill(0, 32), releaseMask: fill(0, 32) })),
    policy: { limit, coolDownMs },
    ownerKey: fill(0, 32),
    previous: n > 1 ? fill(n - 1, 16) : new Uint8Array(0),
    payload: fill(0, 60),
    proofKey: point,
    releaseBase: point,
    number: BigInt(n),
    line: fill(1, 16),
  });
  return {
    ...parseBody(body),
    madeWith: fill(n, 8),
    subRecord: { index: 1, enrolledAtMs, seed: fill(n, 32), mac: fill(n, 32), signature: fill(n, 64) },
    prepared: [],
  };
}

/** Of whoever enrols after generation n was erased. */
function anotherOf(n: number): Generation {
  const { body, ...rest } = generation(n + 1);
  return { ...rest, ...parseBody(create(BodySchema, { ...body, g: fill(n + 100, 16), line: fill(n + 100, 16) })) };
}

const endOf = ({ body: { g, line, epoch, number } }: Generation) => ({ g, line, epoch, number });
const onOthersWord = { newest: fill(0, 8), byTenant: false };
const notCommitted = async () => undefined;
const namesPrepared = async () => (await guard.read(rid)).prepared.map(({ body }) => Number(body.g[0])).sort((a, b) => a - b);

const signed = [{ index: 1, signature: fill(1, 64) }];
const shownPoint = (h: number) => ({ pointHash: fill(h, 32), grant: `granted ${h}` });
const paid = { grant: 'granted', shown: [] };
const shown = (...points: number[]) => ({ ...paid, shown: points.map(shownPoint) });

const attempt = (of: Generation, k: number, h: number) => ({
  fleet: 'test',
  epoch: 1,
  rid,
  g: of.body.g,
  bodyHash: of.bodyHash,
  attempt: k,
  pointHash: fill(h, 32),
});

const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'no error',
    (error: unknown) => (error as VaultError).code,
  );

let directory: string;
let store: GuardStore;
let guard: Guard;

const open = async () => {
  store = await GuardStore.open(join(directory, 'guard'), identity);
  return new Guard(store);
};

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'guard-'));
  await GuardStore.create(join(directory, 'guard'), identity);
  guard = await open();
});

afterEach(async () => {
  await guard.close();
  await rm(directory, { recursive: true });
});

async function makeLive(which: Generation): Promise<Generation> {
  await guard.prepare(rid, async () => which, notCommitted);
  return guard.promote(rid, which.body.g, async () => signed);
}

describe('opening', () => {
  it('never creates a store that is missing', async () => {
    expect(await codeOf(GuardStore.open(join(directory, 'elsewhere'), identity))).toBe('GUARD_MISSING');
  });

  it('never replaces a store that is there', async () => {
    await guard.close();
    expect(await codeOf(GuardStore.create(join(directory, 'guard'), identity))).toBe('GUARD_MISMATCH');
    guard = await open();
  });

  it('refuses another replica’s store', async () => {
    await guard.close();
    expect(await codeOf(GuardStore.open(join(directory, 'guard'), { ...identity, replica: 2 }))).toBe('GUARD_MISMATCH');
    expect(await codeOf(GuardStore.open(join(directory, 'guard'), { ...identity, incarnation: 2 }))).toBe('GUARD_MISMATCH');
    guard = await open();
  });

  it('refuses a store that lost a write which it had acknowledged', async () => {
    const live = await makeLive(generation(1));
    await guard.close();
    await cp(join(directory, 'guard', 'store'), join(directory, 'older'), { recursive: true });
    guard = await open();
    await guard.count(attempt(live, 1, 1), paid, 0);
    await guard.close();
    await rm(join(directory, 'guard', 'store'), { recursive: true });
    await cp(join(directory, 'older'), join(directory, 'guard', 'store'), { recursive: true });
    expect(await codeOf(open())).toBe('GUARD_MISMATCH');
  });

  it('refuses a store without its mark', async () => {
    await guard.close();
    await rm(join(directory, 'guard', 'mark'));
    expect(await codeOf(open())).toBe('GUARD_MISSING');
  });

  it.each<[string, () => Promise<unknown>]>([
    ['remembers which etcd it serves with', () => store.rememberIncarnation(2)],
    ['remembers that it took over', () => store.writeBootRecord(fill(1, 32))],
  ])('says that the disk fails, where it fails as a replica that starts %s', async (_, write) => {
    vi.spyOn(Mark.prototype, 'write').mockRejectedValueOnce(new Error('EIO: i/o error, fdatasync'));
    await expect(write()).rejects.toMatchObject({ code: 'GUARD_FAILING', message: expect.stringContaining('fdatasync') });
    await write(); // mended
  });

  it('refuses a second process', async () => {
    expect(await codeOf(open())).toBe('GUARD_MISMATCH');
  });
});

describe('counting an attempt', () => {
  it('is write-once for each number, free for the point that has it', async () => {
    const live = await makeLive(generation(1));
    await guard.count(attempt(live, 1, 1), paid, 0);
    await guard.count(attempt(live, 1, 1), paid, 0);
    expect(await codeOf(guard.count(attempt(live, 1, 2), paid, 0))).toBe('ATTEMPT_CONFLICT');
    expect((await guard.read(rid)).counted.size).toBe(1);
  });

  it('counts a point once: one grant does not pay for another number', async () => {
    const live = await makeLive(generation(1));
    await guard.count(attempt(live, 1, 1), paid, 0);
    expect(await codeOf(guard.count(attempt(live, 2, 1), paid, 0))).toBe('ATTEMPT_CONFLICT');
  });

  it('refuses numbers beyond the limit of its own body, whatever etcd says', async () => {
    const live = await makeLive(generation(1, { limit: 2 }));
    expect(await codeOf(guard.count(attempt(live, 3, 3), paid, 0))).toBe('EXHAUSTED');
    expect(await codeOf(guard.count(attempt(live, 0, 3), paid, 0))).toBe('EXHAUSTED');
  });

  it('serves only what is live: not another g, not another body, not what is only prepared', async () => {
    const live = await makeLive(generation(1));
    await guard.prepare(rid, async () => generation(2), notCommitted);
    expect(await codeOf(guard.count(attempt(generation(2), 1, 1), paid, 0))).toBe('GENERATION_UNKNOWN');
    expect(await codeOf(guard.count({ ...attempt(live, 1, 1), bodyHash: fill(9, 32) }, paid, 0))).toBe('GENERATION_UNKNOWN');
    expect(await codeOf(guard.count({ ...attempt(live, 1, 1), rid: fill(8, 32) }, paid, 0))).toBe('GENERATION_UNKNOWN');
  });

  it('observes the cool-down by its own clock, except for what t others voted for', async () => {
    const live = await makeLive(generation(1, { coolDownMs: 100n }));
    await guard.count(attempt(live, 1, 1), paid, 1000);
    expect(await codeOf(guard.count(attempt(live, 2, 2), paid, 1099))).toBe('COOLING_DOWN');
    await guard.count(attempt(live, 1, 1), paid, 1001);
    await guard.adopt(attempt(live, 2, 2), paid, 1001);
    expect((await guard.read(rid)).counted.size).toBe(2);
  });

  it('is not locked by its clock having been ahead', async () => {
    const live = await makeLive(generation(1, { limit: 3, coolDownMs: 100n }));
    await guard.count(attempt(live, 1, 1), paid, 9_999_999);
    await guard.count(attempt(live, 2, 2), paid, 1000);
    expect(await codeOf(guard.count(attempt(live, 3, 3), paid, 1099))).toBe('COOLING_DOWN');
    const error = await guard.count(attempt(live, 3, 3), paid, 1099).catch((e: VaultError) => e);
    expect((error as VaultError).details.notBefore).toBe(1100);
  });

  it('survives a restart', async () => {
    const live = await makeLive(generation(1));
    await guard.count(attempt(live, 1, 1), paid, 0);
    await guard.close();
    guard = await open();
    expect(await codeOf(guard.count(attempt(live, 1, 2), paid, 0))).toBe('ATTEMPT_CONFLICT');
  });

  it('lets only one of two racing points have a number', async () => {
    const live = await makeLive(generation(1));
    const results = await Promise.all([1, 2, 3, 4].map((h) => codeOf(guard.count(attempt(live, 1, h), paid, 0))));
    expect(results.filter((r) => r === 'no error')).toHaveLength(1);
  });
});

describe('the order of attempts', () => {
  const counted = async () => [...(await guard.read(rid)).counted].map(([k, { pointHash }]) => [k, pointHash[0]]);

  it('leaves out no number: attempt k is counted once k−1 are', async () => {
    const live = await makeLive(generation(1, { limit: 5 }));
    expect(await codeOf(guard.count(attempt(live, 3, 3), paid, 0))).toBe('ATTEMPT_GAP');
    expect(await codeOf(guard.adopt(attempt(live, 3, 3), paid, 0))).toBe('ATTEMPT_GAP');
    expect(await counted()).toEqual([]);
    await guard.count(attempt(live, 1, 1), paid, 0);
    expect(await codeOf(guard.count(attempt(live, 3, 3), paid, 0))).toBe('ATTEMPT_GAP');
  });

  it('counts those that it missed and is shown, and says how many it has', async () => {
    const live = await makeLive(generation(1, { limit: 5 }));
    await guard.count(attempt(live, 1, 1), paid, 0);
    expect((await guard.count(attempt(live, 4, 4), shown(1, 2, 3), 0)).used).toBe(4);
    expect(await counted()).toEqual([1, 2, 3, 4].map((n) => [n, n]));
    expect((await guard.read(rid)).counted.get(2)).toMatchObject({ grant: 'granted 2' });
    expect((await guard.count(attempt(live, 1, 1), paid, 0)).used).toBe(4);
  });

  it('is lengthened by no point twice, nor by more points than are missing', async () => {
    const live = await makeLive(generation(1, { limit: 5 }));
    await guard.count(attempt(live, 1, 1), paid, 0);
    expect(await codeOf(guard.count(attempt(live, 3, 3), shown(1, 1, 3), 0))).toBe('ATTEMPT_GAP');
    await guard.count(attempt(live, 3, 3), shown(9, 8, 7), 0);
    expect(await counted()).toEqual([
      [1, 1],
      [2, 9],
      [3, 3],
    ]);
  });

  it('starts no cool-down with what it was only shown, and votes for that as for any other, once its own is over', async () => {
    const live = await makeLive(generation(1, { limit: 5, coolDownMs: 100n }));
    await guard.count(attempt(live, 2, 2), shown(1), 1000);
    expect(await codeOf(guard.count(attempt(live, 1, 1), paid, 1050))).toBe('COOLING_DOWN');
    await guard.count(attempt(live, 1, 1), paid, 1100);
    expect(await codeOf(guard.count(attempt(live, 3, 3), paid, 1199))).toBe('COOLING_DOWN');
    expect((await guard.count(attempt(live, 3, 3), paid, 1200)).used).toBe(3);
  });

  it('uses up nothing where it comes to no vote', async () => {
    const live = await makeLive(generation(1, { limit: 5, coolDownMs: 100n }));
    await guard.count(attempt(live, 1, 1), paid, 1000);
    expect(await codeOf(guard.count(attempt(live, 3, 3), shown(2), 1050))).toBe('COOLING_DOWN');
    expect(await codeOf(guard.count(attempt(live, 4, 4), shown(2), 1100))).toBe('ATTEMPT_GAP');
    expect(await counted()).toEqual([[1, 1]]);
  });

  it('adopts what it was only shown once t others voted, whatever its own cool-down', async () => {
    const live = await makeLive(generation(1, { limit: 5, coolDownMs: 100n }));
    await guard.count(attempt(live, 2, 2), shown(1), 1000);
    await guard.adopt(attempt(live, 1, 1), paid, 1050);
    await guard.count(attempt(live, 1, 1), paid, 1051);
  });

  it('survives a restart', async () => {
    const live = await makeLive(generation(1, { limit: 2 }));
    await guard.count(attempt(live, 2, 2), shown(1), 0);
    await guard.close();
    guard = await open();
    expect(await counted()).toEqual([1, 2].map((n) => [n, n]));
    expect(await codeOf(guard.count(attempt(live, 3, 3), shown(1, 2), 0))).toBe('EXHAUSTED');
  });
});

describe('a point that t others voted for, and that is counted here under another number', () => {
  const counted = async () => [...(await guard.read(rid)).counted].map(([k, { pointHash, atMs }]) => [k, pointHash[0], atMs]);

  it('is adopted, and counted no second time', async () => {
    const live = await makeLive(generation(1, { limit: 3 }));
    for (const n of [1, 2]) await guard.count(attempt(live, n, n), paid, 10);
    const before = await counted();
    expect(await guard.adopt(attempt(live, 1, 2), paid, 20)).toMatchObject({ used: 2 });
    expect(await guard.adopt(attempt(live, 2, 1), paid, 20)).toMatchObject({ used: 2 });
    expect(await counted()).toEqual(before);
  });

  it('gets no vote under that number', async () => {
    const live = await makeLive(generation(1, { limit: 3 }));
    for (const n of [1, 2]) await guard.count(attempt(live, n, n), paid, 10);
    await guard.adopt(attempt(live, 2, 1), paid, 20);
    for (const k of [2, 3]) expect(await codeOf(guard.count(attempt(live, k, 1), shown(2), 30))).toBe('ATTEMPT_CONFLICT');
  });

  it('is adopted once as many attempts are counted as its number says, of those that are shown', async () => {
    const live = await makeLive(generation(1, { limit: 5 }));
    await guard.count(attempt(live, 1, 1), paid, 10);
    expect((await guard.adopt(attempt(live, 3, 1), shown(1, 9, 8, 7), 20)).used).toBe(3);
    expect(await counted()).toEqual([
      [1, 1, 10],
      [2, 9, 0],
      [3, 8, 0],
    ]);
    await guard.close();
    guard = await open();
    expect(await counted()).toHaveLength(3);
  });

  it('is refused where too few are shown: a receipt never says more than is counted, and none shows too few', async () => {
    const live = await makeLive(generation(1, { limit: 5 }));
    await guard.count(attempt(live, 1, 1), paid, 10);
    expect(await codeOf(guard.adopt(attempt(live, 3, 1), shown(1, 1, 9), 20))).toBe('ATTEMPT_GAP');
    expect(await codeOf(guard.adopt(attempt(live, 2, 1), paid, 20))).toBe('ATTEMPT_GAP');
    expect(await counted()).toEqual([[1, 1, 10]]);
  });

  it('leads nobody beyond the limit', async () => {
    const live = await makeLive(generation(1, { limit: 2 }));
    await guard.count(attempt(live, 1, 1), paid, 10);
    expect(await codeOf(guard.adopt(attempt(live, 3, 1), shown(7, 8, 9), 20))).toBe('EXHAUSTED');
    expect((await guard.adopt(attempt(live, 2, 1), shown(7, 8, 9), 20)).used).toBe(2);
    expect(await counted()).toHaveLength(2);
    expect(await codeOf(guard.adopt(attempt(live, 2, 5), paid, 20))).toBe('ATTEMPT_CONFLICT');
  });

  it('starts the cool-down where it was only shown before, as what is adopted under its number does', async () => {
    const live = await makeLive(generation(1, { limit: 5, coolDownMs: 100n }));
    await guard.count(attempt(live, 2, 2), shown(1), 1000);
    await guard.adopt(attempt(live, 2, 1), paid, 1050);
    expect(await counted()).toEqual([
      [1, 1, 1050],
      [2, 2, 1000],
    ]);
    expect(await codeOf(guard.count(attempt(live, 3, 3), paid, 1149))).toBe('COOLING_DOWN');
  });

  it('is not adopted where it is not counted, and another one has its number', async () => {
    const live = await makeLive(generation(1, { limit: 5 }));
    await guard.count(attempt(live, 1, 1), paid, 10);
    expect(await codeOf(guard.adopt(attempt(live, 1, 2), paid, 20))).toBe('ATTEMPT_CONFLICT');
  });

  it('may be released, as what was never counted may not', async () => {
    const live = await makeLive(generation(1, { limit: 5 }));
    await guard.count(attempt(live, 2, 2), shown(1), 10);
    for (const h of [1, 2]) {
      const { generation: served, number } = await guard.counted(rid, live.body.g, fill(h, 32));
      expect([served.body.g, number]).toEqual([live.body.g, h]);
    }
    expect(await codeOf(guard.counted(rid, live.body.g, fill(3, 32)))).toBe('ATTEMPT_UNKNOWN');
    expect(await codeOf(guard.counted(rid, fill(2, 16), fill(2, 32)))).toBe('GENERATION_UNKNOWN');
  });
});

describe('promotion', () => {
  it('keeps what shows that it was allowed', async () => {
    await makeLive(generation(1));
    await guard.close();
    guard = await open();
    expect((await guard.read(rid)).live?.prepared.map(({ index, signature }) => [index, toHex(signature)])).toEqual([
      [1, toHex(fill(1, 64))],
    ]);
  });

  it('leaves nothing of the generation before it', async () => {
    const first = await makeLive(generation(1));
    await guard.count(attempt(first, 1, 1), paid, 0);
    const second = await makeLive(generation(2));
    const guarded = await guard.read(rid);
    expect(guarded.live?.body.g).toEqual(second.body.g);
    expect(guarded.prepared).toEqual([]);
    expect(guarded.counted.size).toBe(0);
    expect(await codeOf(guard.count(attempt(first, 2, 2), paid, 0))).toBe('GENERATION_UNKNOWN');
  });

  it('needs a commit', async () => {
    await guard.prepare(rid, async () => generation(1), notCommitted);
    expect(await codeOf(guard.promote(rid, fill(1, 16), async () => undefined))).toBe('GENERATION_UNKNOWN');
  });

  it('keeps counters when it is asked again', async () => {
    const live = await makeLive(generation(1));
    await guard.count(attempt(live, 1, 1), paid, 0);
    await guard.promote(rid, live.body.g, async () => signed);
    expect((await guard.read(rid)).counted.size).toBe(1);
  });
});

describe('prepared generations', () => {
  it('are bounded: the oldest goes', async () => {
    for (let n = 1; n <= 10; n++) await guard.prepare(rid, async () => generation(n), notCommitted);
    expect(await namesPrepared()).toEqual([3, 4, 5, 6, 7, 8, 9, 10]);
  });

  it('are bounded, but one that etcd committed stays', async () => {
    for (let n = 1; n <= 10; n++)
      await guard.prepare(
        rid,
        async () => generation(n),
        async () => fill(1, 16),
      );
    expect(await namesPrepared()).toEqual([1, 4, 5, 6, 7, 8, 9, 10]);
  });

  it('are never made live in place of a later one, whatever etcd shows', async () => {
    for (const n of [1, 2]) await guard.prepare(rid, async () => generation(n), notCommitted);
    await guard.promote(rid, fill(2, 16), async () => signed);
    await guard.prepare(rid, async () => generation(1), notCommitted);
    expect(await codeOf(guard.promote(rid, fill(1, 16), async () => signed))).toBe('GENERATION_UNKNOWN');
  });

  it('stay while they come after what is promoted: t guards may have them, and etcd may have lied', async () => {
    for (const n of [1, 2, 3]) await guard.prepare(rid, async () => generation(n), notCommitted);
    await guard.promote(rid, fill(1, 16), async () => signed);
    expect(await namesPrepared()).toEqual([2, 3]);
  });

  it('of two that replace the same one: goes on to that of the higher hash, and never back', async () => {
    const sibling = (n: number): Generation => {
      const { body, ...rest } = generation(2);
      return { ...rest, ...parseBody(create(BodySchema, { ...body, g: fill(n, 16) })) };
    };
    const [lower, higher] = [sibling(8), sibling(9)].sort((a, b) => (toHex(a.bodyHash) < toHex(b.bodyHash) ? -1 : 1)) as [
      Generation,
      Generation,
    ];
    const promote = ({ body: { g } }: Generation) => codeOf(guard.promote(rid, g, async () => signed));
    for (const each of [lower, higher]) await guard.prepare(rid, async () => each, notCommitted);
    expect(await promote(lower)).toBe('no error');
    expect(await promote(higher)).toBe('no error');
    await guard.prepare(rid, async () => lower, notCommitted);
    expect(await promote(lower)).toBe('GENERATION_UNKNOWN');
  });

  describe('of another line, for which no owner signed', () => {
    const stranger = (n: number): Generation => {
      const { body, ...rest } = generation(n);
      return { ...rest, ...parseBody(create(BodySchema, { ...body, g: fill(7, 16), line: fill(7, 16), previous: fill(6, 16) })) };
    };
    const promote = ({ body: { g } }: Generation) => codeOf(guard.promote(rid, g, async () => signed));

    it('take no served one’s place, however late they are numbered, before that is over', async () => {
      await guard.prepare(rid, async () => stranger(5), notCommitted);
      await guard.prepare(rid, async () => generation(1), notCommitted);
      expect(await promote(generation(1))).toBe('no error');
      await guard.prepare(rid, async () => stranger(5), notCommitted);
      expect(await promote(stranger(5))).toBe('GENERATION_UNKNOWN');
      await guard.destroy(rid, endOf(generation(1)), onOthersWord);
      expect(await promote(stranger(5))).toBe('no error');
    });

    it('nor that of one that an owner signed and this guard prepared', async () => {
      await guard.prepare(rid, async () => stranger(5), notCommitted);
      await guard.prepare(rid, async () => generation(2), notCommitted);
      expect(await promote(stranger(5))).toBe('GENERATION_UNKNOWN');
      expect(await promote(generation(2))).toBe('no error');
    });
  });

  it('go when a later one is promoted', async () => {
    for (const n of [1, 2, 3]) await guard.prepare(rid, async () => generation(n), notCommitted);
    await guard.promote(rid, fill(3, 16), async () => signed);
    expect(await namesPrepared()).toEqual([]);
  });

  it('go with what is erased, but not those that come after it', async () => {
    await makeLive(generation(1));
    await makeLive(generation(2));
    for (const n of [1, 3, 4]) await guard.prepare(rid, async () => generation(n), notCommitted);
    await guard.destroy(rid, endOf(generation(2)), onOthersWord);
    expect(await namesPrepared()).toEqual([3, 4]);
  });

  describe('where the tenant says so', () => {
    const byTenant = { ...onOthersWord, byTenant: true };
    it('what was to take its place goes as well: nobody finishes what its owner had erased', async () => {
      await makeLive(generation(1));
      for (const each of [generation(2), anotherOf(1)]) await guard.prepare(rid, async () => each, notCommitted);
      await guard.destroy(rid, endOf(generation(1)), byTenant);
      expect(await namesPrepared()).toEqual([101]);
      expect(await codeOf(guard.promote(rid, fill(2, 16), async () => signed))).toBe('GENERATION_UNKNOWN');
    });

    it('but not what comes after that: what was acknowledged may rest on it', async () => {
      for (const n of [2, 3]) await guard.prepare(rid, async () => generation(n), notCommitted);
      await guard.destroy(rid, endOf(generation(1)), byTenant);
      expect(await namesPrepared()).toEqual([3]);
    });

    it('tickets of before end, also where nothing was served', async () => {
      await guard.destroy(rid, endOf(generation(1)), byTenant);
      expect(await guard.changes(rid)).toBe(1n);
      await guard.destroy(rid, endOf(generation(1)), byTenant); // said again, it is nothing new
      expect(await guard.changes(rid)).toBe(1n);
    });

    it('after others said so, it takes what they had left', async () => {
      await makeLive(generation(1));
      await guard.prepare(rid, async () => generation(2), notCommitted);
      await guard.destroy(rid, endOf(generation(1)), onOthersWord);
      expect(await namesPrepared()).toEqual([2]);
      await guard.destroy(rid, endOf(generation(1)), byTenant);
      expect(await namesPrepared()).toEqual([]);
    });

    it('what was to take its place goes as well where nobody showed what it was', async () => {
      for (const each of [generation(3), anotherOf(1), anotherOf(2)]) await guard.prepare(rid, async () => each, notCommitted);
      for (const n of [2, 1]) await guard.destroy(rid, unknownEnd(fill(n, 16)), byTenant);
      expect(await namesPrepared()).toEqual([101, 102]);
    });

    it('and so it does where what was shown since is of another line than that, or was said before', async () => {
      await guard.destroy(rid, unknownEnd(fill(2, 16)), byTenant);
      await guard.prepare(rid, async () => generation(3), notCommitted);
      const changes = await guard.changes(rid);
      await guard.destroy(rid, unknownEnd(fill(2, 16)), byTenant);
      expect(await namesPrepared()).toEqual([]);
      expect(await guard.changes(rid)).toBe(changes + 1n); // nobody prepares it again
      await guard.prepare(rid, async () => generation(3), notCommitted);
      await guard.destroy(rid, { ...endOf(generation(2)), line: fill(9, 16) }, onOthersWord);
      expect(await namesPrepared()).toEqual([]);
    });

    it('also after what came later was erased, by whoever said that', async () => {
      await guard.destroy(rid, endOf(generation(7)), onOthersWord);
      const { body } = generation(3);
      const later = { ...generation(3), ...parseBody(create(BodySchema, { ...body, epoch: 2n })) }; // the epoch counts first
      await guard.prepare(rid, async () => later, notCommitted);
      await guard.destroy(rid, endOf(generation(2)), byTenant);
      expect(await namesPrepared()).toEqual([]);
      expect((await guard.read(rid)).destroyed.map(({ number, byTenant }) => [number, byTenant])).toEqual([[7n, false]]);
    });
  });

  describe('where nobody shows what is erased', () => {
    const g = fill(2, 16);
    const ended = async () => (await guard.read(rid)).destroyed.map(({ number, byTenant }) => [number, byTenant]);

    it.each([false, true])('its name is no answer for what is shown later: that ends its line (by the tenant: %s)', async (byTenant) => {
      await makeLive(generation(1));
      await guard.destroy(rid, unknownEnd(g), { ...onOthersWord, byTenant });
      expect((await guard.read(rid)).live?.body.number).toBe(1n);
      await guard.destroy(rid, endOf(generation(2)), onOthersWord);
      expect(await guard.read(rid)).toMatchObject({ live: undefined, prepared: [] });
      expect(await ended()).toEqual([[2n, byTenant]]); // in the place of what was known before
      await guard.destroy(rid, unknownEnd(g), onOthersWord);
      expect(await ended()).toEqual([[2n, byTenant]]);
    });

    it('its name is no answer for it either where it is the first of its line', async () => {
      await guard.destroy(rid, unknownEnd(fill(1, 16)), onOthersWord);
      await guard.destroy(rid, endOf(generation(1)), onOthersWord);
      expect(await ended()).toEqual([[1n, false]]);
    });

    it('the end of another line is none for what is shown under the same name', async () => {
      await makeLive(generation(1));
      await guard.destroy(rid, { ...endOf(generation(2)), line: fill(9, 16) }, onOthersWord);
      await guard.destroy(rid, endOf(generation(2)), onOthersWord);
      expect((await guard.read(rid)).live).toBeUndefined();
    });

    it('nothing is made of a secret of now where nothing more was dropped once it is shown', async () => {
      await guard.destroy(rid, unknownEnd(g), { newest: fill(5, 8), byTenant: true });
      const { madeWith } = await guard.destroy(rid, endOf(generation(2)), { newest: fill(6, 8), byTenant: false });
      expect(toHex(madeWith)).toBe(toHex(fill(5, 8)));
      await guard.prepare(rid, async () => anotherOf(3), notCommitted);
      await guard.destroy(rid, unknownEnd(fill(3, 16)), { newest: fill(6, 8), byTenant: false });
      const again = await guard.destroy(rid, unknownEnd(fill(3, 16)), { newest: fill(7, 8), byTenant: true });
      expect(toHex(again.madeWith)).toBe(toHex(fill(7, 8))); // the tenant ends tickets of until then
    });
  });

  describe('says that it is not rid of all that goes with what is erased', () => {
    const leaves = async (end: End, byTenant = false) => (await guard.destroy(rid, end, { ...onOthersWord, byTenant })).leaves;

    it('while anything is held that may come before it in a line that nobody showed', async () => {
      await makeLive(generation(1));
      expect(await leaves(unknownEnd(fill(2, 16)), true)).toBe(true);
      expect(await leaves(unknownEnd(fill(2, 16)))).toBe(true);
      expect(await leaves(endOf(generation(2)))).toBe(false);
      expect(await leaves(unknownEnd(fill(2, 16)))).toBe(false);
    });

    it('also where that is only prepared', async () => {
      await guard.prepare(rid, async () => generation(5), notCommitted);
      expect(await leaves(unknownEnd(fill(2, 16)), true)).toBe(true);
    });

    it('but not where all that is held came after it', async () => {
      await makeLive(generation(2));
      expect(await leaves(unknownEnd(fill(1, 16)), true)).toBe(false); // the line is called by it
      await guard.prepare(rid, async () => generation(3), notCommitted);
      await guard.destroy(rid, endOf(generation(2)), onOthersWord);
      await makeLive(anotherOf(3));
      expect(await leaves(unknownEnd(fill(3, 16)), true)).toBe(false); // what is served replaced it
    });

    it('while something is prepared to take its place, which others’ word leaves', async () => {
      await makeLive(generation(1));
      await guard.prepare(rid, async () => generation(2), notCommitted);
      expect(await leaves(endOf(generation(1)))).toBe(true);
      expect(await leaves(endOf(generation(1)))).toBe(true);
      expect(await leaves(endOf(generation(1)), true)).toBe(false);
    });

    it('but not for what is served, or begins a line', async () => {
      await makeLive(generation(1));
      await makeLive(generation(2));
      expect(await leaves(endOf(generation(1)), true)).toBe(false);
      await guard.destroy(rid, endOf(generation(2)), onOthersWord);
      await guard.prepare(rid, async () => anotherOf(2), notCommitted);
      expect(await leaves(endOf(generation(2)))).toBe(false);
    });
  });

  it('what is served stays, whoever has what came before it erased', async () => {
    await makeLive(generation(1));
    await makeLive(generation(2));
    await guard.destroy(rid, endOf(generation(1)), { ...onOthersWord, byTenant: true });
    expect((await guard.read(rid)).live?.body.number).toBe(2n);
  });
});

describe('forgetting', () => {
  const destroyed = async () => {
    const [last] = (await guard.read(rid)).destroyed;
    return last && [last.g, last.madeWith].map(toHex);
  };

  it('counts how often another generation was served, for ever', async () => {
    expect(await guard.changes(rid)).toBe(0n);
    await makeLive(generation(1));
    expect(await guard.changes(rid)).toBe(1n);
    await makeLive(generation(2));
    expect(await guard.changes(rid)).toBe(2n);
    await guard.destroy(rid, endOf(generation(1)), onOthersWord);
    expect(await guard.changes(rid)).toBe(2n);
    await guard.destroy(rid, endOf(generation(2)), onOthersWord);
    await guard.close();
    guard = await open();
    expect(await guard.changes(rid)).toBe(3n);
  });

  it('drops nothing of another line', async () => {
    const live = await makeLive(generation(1));
    await guard.destroy(rid, { ...endOf(generation(2)), line: fill(2, 16) }, onOthersWord);
    expect((await guard.read(rid)).live).toBeDefined();
    await guard.destroy(rid, endOf(live), onOthersWord);
    expect(await guard.read(rid)).toMatchObject({ live: undefined, prepared: [], counted: new Map() });
    expect((await guard.read(rid)).destroyed.map(({ number }) => number)).toEqual([1n, 2n]);
  });

  it('drops what came before in its line', async () => {
    await makeLive(generation(1));
    await guard.destroy(rid, endOf(generation(2)), onOthersWord);
    const { live, destroyed: ended } = await guard.read(rid);
    expect(live).toBeUndefined();
    expect(ended.map(({ number }) => number)).toEqual([2n]);
  });

  it('takes what is only prepared as well, and what that was to replace', async () => {
    await makeLive(generation(1));
    await guard.prepare(rid, async () => generation(2), notCommitted);
    await guard.destroy(rid, endOf(generation(2)), { ...onOthersWord, newest: fill(9, 8) });
    expect(await guard.read(rid)).toMatchObject({ live: undefined, prepared: [] });
    expect(await destroyed()).toEqual([fill(2, 16), fill(9, 8)].map(toHex)); // by which either could be made again
    expect(await guard.changes(rid)).toBe(2n);
  });

  it('remembers with which secret the seed was made, or may yet be made, also after a restart', async () => {
    await makeLive(generation(1));
    await guard.destroy(rid, endOf(generation(1)), onOthersWord);
    expect(await destroyed()).toEqual([fill(1, 16), fill(1, 8)].map(toHex));
    await guard.destroy(rid, endOf(generation(7)), { ...onOthersWord, newest: fill(9, 8) });
    await guard.close();
    guard = await open();
    await guard.destroy(rid, endOf(generation(7)), onOthersWord);
    expect(await destroyed()).toEqual([fill(7, 16), fill(9, 8)].map(toHex));
    expect((await guard.read(rid)).destroyed).toHaveLength(1); // it is the latest of its line
  });

  it('keeps what it served without anything that serves, to show it to others; the latest of each line', async () => {
    const shown = async () =>
      (await guard.read(rid)).destroyed.map(
        (each) => each.shown && [toHex(each.shown.bodyHash), each.shown.prepared.map(({ index }) => index)],
      );
    const first = await makeLive(generation(1));
    await guard.destroy(rid, endOf(first), onOthersWord);
    expect(await shown()).toEqual([[toHex(first.bodyHash), [1]]]);
    expect(Object.keys((await guard.read(rid)).destroyed[0]?.shown ?? {}).sort()).toEqual(['body', 'bodyHash', 'prepared']);
    const second = await makeLive(generation(2));
    await guard.destroy(rid, endOf(second), onOthersWord);
    await guard.destroy(rid, endOf(first), { ...onOthersWord, shown: first });
    await guard.destroy(rid, unknownEnd(fill(9, 16)), onOthersWord);
    await guard.close();
    guard = await open();
    expect(await shown()).toEqual([[toHex(second.bodyHash), [1]], undefined]);
  });

  it('finds what is exhausted', async () => {
    const live = await makeLive(generation(1, { limit: 1 }));
    await guard.count(attempt(live, 1, 1), paid, 0);
    const full: Uint8Array[] = [];
    for await (const each of guard.full()) full.push(new Uint8Array(each));
    expect(full).toEqual([rid]);
  });
});

describe('what is remembered of the disk', () => {
  it('spares reading it again', async () => {
    const live = await makeLive(generation(1));
    const reads = vi.spyOn(store, 'read');
    await guard.count(attempt(live, 1, 1), paid, 0);
    await guard.counted(rid, live.body.g, fill(1, 32));
    expect((await guard.read(rid)).counted.get(1)).toEqual({ pointHash: fill(1, 32), grant: 'granted', atMs: 1 });
    expect(reads).toHaveBeenCalledTimes(1);
    await guard.close();
    guard = await open();
    expect((await guard.read(rid)).counted.get(1)).toMatchObject({ atMs: 1 });
  });

  it('shows nothing that the disk does not have yet', async () => {
    const live = await makeLive(generation(1));
    await guard.read(rid);
    let written = false;
    const putCounted = store.putCounted.bind(store);
    vi.spyOn(store, 'putCounted').mockImplementation(async (...entry) => {
      await putCounted(...entry);
      written = true;
    });
    const counting = guard.count(attempt(live, 1, 1), paid, 0);
    await vi.waitFor(() => expect(store.putCounted).toHaveBeenCalled(), PATIENCE);
    await guard.counted(rid, live.body.g, fill(1, 32));
    expect(written).toBe(true);
    await counting;
  });

  it('is forgotten when a write fails, since its outcome is the disk’s to tell', async () => {
    const live = await makeLive(generation(1));
    vi.spyOn(store, 'putCounted').mockRejectedValueOnce(new Error('no space left'));
    await expect(guard.count(attempt(live, 1, 1), paid, 0)).rejects.toThrow('no space left');
    const reads = vi.spyOn(store, 'read');
    expect((await guard.read(rid)).counted.size).toBe(0);
    expect(reads).toHaveBeenCalledTimes(1);
  });
});
