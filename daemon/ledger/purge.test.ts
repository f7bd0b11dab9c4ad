import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { create } from '@bufbuild/protobuf';
import { randomBytes } from '@noble/hashes/utils.js';
import { ClassicLevel } from 'classic-level';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { toHex } from '../../primitives/bytes.ts';
import { BodySchema } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { parseBody } from '../../protocol/body.ts';
import { PATIENCE } from '../../test/harness/patience.ts';
import { Guard } from './guard.ts';
import { GuardStore } from './guard-store.ts';
import type { Generation } from './guarded.ts';
import { NumberedStore } from './numbered-store.ts';

// What a delete leaves behind in LevelDB's files, and what must not be left: the seeds of a generation that is gone.

const identity = { fleet: 'test', replica: 1, incarnation: 1 };
const fill = (n: number, length = 32) => new Uint8Array(length).fill(n);
const point = Uint8Array.of(2, ...fill(1));
const rid = fill(7);

/** Generation n of a record, with a seed that is found nowhere else. */
function generation(n: number, of = rid): Generation {
  const body = create(BodySchema, {
    ...{ version: 1, fleet: 'test', epoch: 1n, rid: of, g: fill(n, 16), threshold: 2, policy: { limit: 2, coolDownMs: 0n } },
    shares: [1, 2].map((index) => ({ index, x: index, mask: fill(0), releaseMask: fill(0) })),
    ...{
      ownerKey: fill(0),
      previous: n > 1 ? fill(n - 1, 16) : new Uint8Array(0),
      payload: fill(0, 60),
      proofKey: point,
      releaseBase: point,
      number: BigInt(n),
      line: fill(1, 16),
    },
  });
  return {
    ...parseBody(body),
    madeWith: fill(n, 8),
    subRecord: { index: 1, enrolledAtMs: BigInt(n), seed: randomBytes(32), mac: fill(n), signature: fill(n, 64) },
    prepared: [],
  };
}

let directory: string;
let store: GuardStore;
let guard: Guard;

async function open(): Promise<void> {
  store = await GuardStore.open(directory, identity);
  guard = new Guard(store);
}

beforeEach(async () => {
  directory = join(await mkdtemp(join(tmpdir(), 'purge-')), 'guard');
  await GuardStore.create(directory, identity);
  await open();
});

afterEach(async () => {
  vi.restoreAllMocks();
  await guard.close();
  await rm(join(directory, '..'), { recursive: true });
});

const prepare = (which: Generation) =>
  guard.prepare(
    which.body.rid,
    async () => which,
    async () => undefined,
  );

async function serve(which: Generation): Promise<Generation> {
  await prepare(which);
  await guard.promote(which.body.rid, which.body.g, async () => [{ index: 1, signature: fill(1, 64) }]);
  return which;
}

const preparedSeeds = async () => (await guard.read(rid)).prepared.map(({ subRecord }) => toHex(subRecord.seed));
const seedOf = ({ subRecord }: Generation) => toHex(subRecord.seed);

const onOthersWord = { newest: fill(0, 8), byTenant: false };
const forget = ({ body }: Generation) => guard.destroy(body.rid, body, onOthersWord);

/** A quarter of it is enough, in any file of the guard: LevelDB compresses, and may refer for some of its bytes to others. */
async function isOnDisk({ subRecord }: Generation): Promise<boolean> {
  const files = (await readdir(directory, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
  const contents = await Promise.all(files.map((file) => readFile(join(file.parentPath, file.name)).catch(() => Buffer.alloc(0))));
  const quarters = [0, 8, 16, 24].map((from) => Buffer.from(subRecord.seed.subarray(from, from + 8)));
  return contents.some((content) => quarters.some((quarter) => content.includes(quarter)));
}

/** Sees what is there when it begins, and takes its time. */
function slowRead(): Promise<unknown> {
  const iterator = ClassicLevel.prototype.iterator;
  const begun = vi.spyOn(ClassicLevel.prototype, 'iterator').mockImplementationOnce(function (this: ClassicLevel, options: object) {
    const made = iterator.call(this, options);
    const all = made.all.bind(made);
    made.all = async () => {
      await delay(300);
      return all();
    };
    return made;
  } as typeof iterator);
  return store.read(rid).finally(() => begun.mockRestore());
}

/** Writes out what is in memory, and begins another log. */
async function reopen(): Promise<void> {
  await guard.close();
  await open();
}

/** So that there are files at several levels, and what was written first lies at the lowest. */
async function fillUp(records: number): Promise<void> {
  for (let i = 0; i < records; i++) await serve(generation(1, randomBytes(32)));
}

describe('after an erasure has answered, the seed is in no file', () => {
  it('where all happened since the last start', async () => {
    const erased = await serve(generation(1));
    expect(await isOnDisk(erased)).toBe(true);
    await forget(erased);
    expect(await isOnDisk(erased)).toBe(false);
  });

  it('where it was prepared, promoted and erased between starts', async () => {
    const erased = generation(1);
    await prepare(erased);
    await reopen();
    await guard.promote(rid, erased.body.g, async () => []);
    await reopen();
    expect(await isOnDisk(erased)).toBe(true);
    await forget(erased);
    expect(await isOnDisk(erased)).toBe(false);
  });

  it('where it lies among many others, at every level', async () => {
    const erased: Generation[] = [];
    for (let round = 0; round < 6; round++) {
      await fillUp(20);
      erased.push(await serve(generation(1, randomBytes(32))));
      await store.purge(); // nothing is owed
      await reopen();
    }
    for (const each of erased) {
      expect(await isOnDisk(each)).toBe(true);
      await forget(each);
      expect(await isOnDisk(each)).toBe(false);
    }
  });

  it('with what was prepared beside it, but not what replaces it', async () => {
    const erased = await serve(generation(2));
    const [next, stray] = [generation(3), generation(1)];
    await prepare(next);
    await prepare(stray);
    await forget(erased);
    expect(await Promise.all([erased, stray, next].map(isOnDisk))).toEqual([false, false, true]);
    await reopen();
    expect(await preparedSeeds()).toEqual([seedOf(next)]);
  });

  it('where a read is under way, for which LevelDB keeps what it saw', async () => {
    const erased = await serve(generation(1));
    const reading = slowRead();
    await forget(erased);
    expect(await isOnDisk(erased)).toBe(false);
    await reading;
  });

  it('where a read begins while it is purged, for which LevelDB keeps the files that it may look into', async () => {
    const erased = await serve(generation(1));
    await fillUp(10);
    await reopen();
    let reading: Promise<unknown> | undefined;
    const compactRange = ClassicLevel.prototype.compactRange;
    vi.spyOn(ClassicLevel.prototype, 'compactRange').mockImplementation(async function (
      this: ClassicLevel,
      ...range: Parameters<typeof compactRange>
    ) {
      if (String(range[0]).startsWith('live/')) reading ??= slowRead();
      return compactRange.apply(this, range);
    } as typeof compactRange);
    await forget(erased);
    expect(await isOnDisk(erased)).toBe(false);
    expect(reading).toBeDefined();
    await reading;
  });

  it('where the guard is read all the time', async () => {
    const erased = await serve(generation(1));
    await fillUp(30);
    let isDone = false;
    const reading = (async () => {
      while (!isDone) for await (const each of store.generations()) await store.read(each.body.rid);
    })();
    const others = Promise.all([serve(generation(1, randomBytes(32))), serve(generation(1, randomBytes(32)))]);
    await forget(erased);
    expect(await isOnDisk(erased)).toBe(false);
    isDone = true;
    await Promise.all([reading, others]);
  });

  it('where an iteration over the guard has not ended', async () => {
    const erased = await serve(generation(1));
    await fillUp(3);
    const iterator = store.rids()[Symbol.asyncIterator]();
    await iterator.next();
    await forget(erased);
    expect(await isOnDisk(erased)).toBe(false);
    await iterator.return?.();
  });
});

it('the seed of a generation that was replaced is soon in no file, and that of the new one stays', async () => {
  const replaced = await serve(generation(1));
  const live = await serve(generation(2));
  await vi.waitFor(async () => expect(await isOnDisk(replaced)).toBe(false), PATIENCE);
  expect(await isOnDisk(live)).toBe(true);
  await reopen();
  expect(seedOf((await guard.read(rid)).live as Generation)).toBe(seedOf(live));
});

it('the seed of a prepared generation that had to go is soon in no file', async () => {
  const generations = Array.from({ length: 9 }, (_, i) => generation(i + 1));
  for (const each of generations) await prepare(each);
  await vi.waitFor(async () => expect(await isOnDisk(generations[0] as Generation)).toBe(false), PATIENCE);
  expect((await guard.read(rid)).prepared).toHaveLength(8);
});

it('an enrolment that replaces nothing compacts nothing', async () => {
  const compactions = vi.spyOn(ClassicLevel.prototype, 'compactRange');
  await serve(generation(1));
  await guard.purge();
  expect(compactions).not.toHaveBeenCalled();
});

it('what comes back under its old name while it is purged stays', async () => {
  const erased = await serve(generation(1));
  const again = generation(1);
  await Promise.all([forget(erased), prepare(again)]);
  expect(await isOnDisk(erased)).toBe(false);
  expect(await preparedSeeds()).toEqual([seedOf(again)]);
});

it('erasures at the same time share their compactions', async () => {
  const erased = await Promise.all(Array.from({ length: 8 }, () => serve(generation(1, randomBytes(32)))));
  const purges = vi.spyOn(store, 'purge');
  const compactions = vi.spyOn(ClassicLevel.prototype, 'compactRange');
  await Promise.all(erased.map(forget));
  expect(purges).toHaveBeenCalledTimes(8);
  const alone = 1 + 2 * 2; // of one erasure: what is in memory, and twice each of two keys
  expect(compactions.mock.calls.length).toBeLessThan(8 * alone);
  expect(await Promise.all(erased.map(isOnDisk))).toEqual(erased.map(() => false));
});

it('an erasure does not wait for what is replaced meanwhile, however fast that is', async () => {
  const erased = await serve(generation(1));
  const purge = NumberedStore.prototype.purge;
  let n = 1;
  const another = randomBytes(32);
  await serve(generation(n, another));
  const runs = vi.spyOn(NumberedStore.prototype, 'purge').mockImplementation(async function (this: NumberedStore, ...owed) {
    await serve(generation(++n, another));
    return purge.apply(this, owed);
  });
  await forget(erased);
  expect(runs.mock.calls.length).toBeLessThan(3);
  expect(await isOnDisk(erased)).toBe(false);
  runs.mockRestore();
});

describe('where the disk fails', () => {
  /** Files that LevelDB cannot make: directories stand in their place. Its files are numbered. */
  async function blockFiles(): Promise<string[]> {
    const files = await readdir(join(directory, 'store'));
    const last = Math.max(...files.map((file) => Number.parseInt(file, 10) || Number(file.split('-')[1] ?? 0)));
    const blocked = Array.from({ length: 40 }, (_, i) => join(directory, 'store', `${String(last + 1 + i).padStart(6, '0')}.ldb`));
    for (const path of blocked) await mkdir(path);
    return blocked;
  }

  it('the erasure says so, serves the generation no more, and is made good later', async () => {
    const erased = await serve(generation(1));
    const blocked = await blockFiles();
    await expect(forget(erased)).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' });
    await expect(guard.expectPurged(rid)).rejects.toThrow();
    for (const path of blocked) await rm(path, { recursive: true });
    expect((await guard.read(rid)).live).toBeUndefined();
    expect(await isOnDisk(erased)).toBe(true);
    await guard.expectPurged(rid);
    expect(await isOnDisk(erased)).toBe(false);
  });

  it('also after a start, which finds that it is owed', async () => {
    const erased = await serve(generation(1));
    vi.spyOn(ClassicLevel.prototype, 'compactRange').mockRejectedValue(new Error('told to fail'));
    await expect(forget(erased)).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' });
    vi.restoreAllMocks();
    await reopen();
    expect(await isOnDisk(erased)).toBe(true);
    await guard.purge();
    expect(await isOnDisk(erased)).toBe(false);
  });
});
