import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { toHex } from '../../primitives/bytes.ts';
import type { VaultError } from '../../primitives/errors.ts';
import { BodySchema } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { parseBody } from '../../protocol/body.ts';
import { Guard } from './guard.ts';
import { type GuardIdentity, GuardStore } from './guard-store.ts';
import { type End, type Generation, unknownEnd } from './guarded.ts';
import { dealName, encodeSeedShare, type KeptShare, parseSeedShare, renderSeedShare, type SeedShare } from './seed-share.ts';

// The guard of replica 1, which keeps shares of the seeds of the others, and deals its own.

const identity: GuardIdentity = { fleet: 'test', replica: 1, incarnation: 1 };
const fill = (n: number, length: number) => new Uint8Array(length).fill(n);
const rid = fill(7, 32);
const point = Uint8Array.of(2, ...fill(1, 32));

/** Generation n of a line. */
function generation(n: number, { line = 1, of = rid } = {}): Generation {
  const body = create(BodySchema, {
    ...{ version: 1, fleet: 'test', epoch: 1n, rid: of, g: named(n, line), threshold: 2, policy: { limit: 2, coolDownMs: 0n } },
    shares: [1, 2].map((index) => ({ index, x: index, mask: fill(0, 32), releaseMask: fill(0, 32) })),
    ...{ ownerKey: fill(0, 32), previous: n > 1 ? named(n - 1, line) : new Uint8Array(0), payload: fill(0, 60) },
    ...{ proofKey: point, releaseBase: point, number: BigInt(n), line: named(1, line) },
  });
  return {
    ...parseBody(body),
    madeWith: fill(n, 8),
    subRecord: { index: 1, enrolledAtMs: BigInt(n), seed: fill(n, 32), mac: fill(n, 32), signature: fill(n, 64) },
    prepared: [],
  };
}

const named = (n: number, line: number) => Uint8Array.of(line, ...fill(n, 15));
const endOf = ({ body: { g, line, epoch, number } }: Generation): End => ({ g, line, epoch, number });
const onOthersWord = { newest: fill(0, 8), byTenant: false };

/** What replica `owner` dealt of its seed of a generation. */
const shareOf = (owner: number, which: Generation, deal = 1): KeptShare => ({
  ...{ owner, ...endOf(which), deal: fill(deal, 12), share: Uint8Array.from(randomBytes(33)) },
  ...{ enrolledAtMs: 5n, mac: fill(8, 32), signature: fill(9, 64), guard: 1 },
});

let directory: string;
let store: GuardStore;
let guard: Guard;

async function open(): Promise<void> {
  store = await GuardStore.open(directory, identity);
  guard = new Guard(store);
}

async function restart(): Promise<void> {
  await guard.close();
  await open();
}

beforeEach(async () => {
  directory = join(await mkdtemp(join(tmpdir(), 'shares-')), 'guard');
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
  return guard.promote(which.body.rid, which.body.g, async () => [{ index: 1, signature: fill(1, 64) }]);
}

const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'no error',
    (error: unknown) => (error as VaultError).code,
  );

const keep = (share: KeptShare, of = rid) => codeOf(guard.keep(of, share));
/** Whose, of which generation and of which deal. */
const kept = async (of = rid) => (await guard.kept(of)).map(({ owner, number, deal }) => [owner, Number(number), deal[0]]);

async function undealt(): Promise<string[]> {
  const rids: string[] = [];
  for await (const each of guard.undealt()) rids.push(toHex(each));
  return rids;
}

/** The files of the store hold it still. */
async function isOnDisk({ share }: SeedShare): Promise<boolean> {
  const files = (await readdir(directory, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
  const contents = await Promise.all(files.map((file) => readFile(join(file.parentPath, file.name)).catch(() => Buffer.alloc(0))));
  return contents.some((content) => [0, 8, 16, 24].some((from) => content.includes(Buffer.from(share.subarray(from, from + 8)))));
}

describe('a share that another one dealt', () => {
  it('is as it was sent, with whose it is, also after a restart', async () => {
    const share = shareOf(3, generation(1));
    expect(await keep(share)).toBe('no error');
    await restart();
    const [found] = await guard.kept(rid);
    expect(found?.owner).toBe(3);
    expect(toHex(encodeSeedShare(found as KeptShare))).toBe(toHex(encodeSeedShare(share)));
  });

  it('is kept for each owner and record, apart from what this replica holds itself', async () => {
    const other = fill(6, 32);
    for (const owner of [2, 12, 3]) await keep(shareOf(owner, generation(1)));
    await keep(shareOf(2, generation(4, { of: other })), other);
    expect(await kept()).toEqual([2, 3, 12].map((owner) => [owner, 1, 1]));
    expect(await kept(other)).toEqual([[2, 4, 1]]);
    expect(await guard.read(rid)).toMatchObject({ live: undefined, prepared: [], destroyed: [] });
    expect(await kept(fill(5, 32))).toEqual([]);
  });

  it('is replaced by what its owner deals later, of the same generation or a later one', async () => {
    await keep(shareOf(2, generation(1)));
    await keep(shareOf(3, generation(1)));
    expect(await keep(shareOf(2, generation(1), 2))).toBe('no error');
    expect(await kept()).toEqual([
      [2, 1, 2],
      [3, 1, 1],
    ]);
    expect(await keep(shareOf(2, generation(2), 3))).toBe('no error');
    expect(await kept()).toEqual([
      [2, 2, 3],
      [3, 1, 1],
    ]);
  });

  it('is not replaced by one of what came before it: that is refused, also after a restart', async () => {
    await keep(shareOf(2, generation(2)));
    expect(await keep(shareOf(2, generation(1), 2))).toBe('GENERATION_UNKNOWN');
    await restart();
    expect(await keep(shareOf(2, generation(1), 2))).toBe('GENERATION_UNKNOWN');
    expect(await kept()).toEqual([[2, 2, 1]]);
    expect(await keep(shareOf(3, generation(1)))).toBe('no error'); // another one may be behind
  });

  it('is replaced by one of another line: the owner serves that now', async () => {
    await keep(shareOf(2, generation(2)));
    expect(await keep(shareOf(2, generation(1, { line: 2 }), 2))).toBe('no error');
    expect(await kept()).toEqual([[2, 1, 2]]);
  });

  it('is left in no file once one of another generation took its place, and that was purged', async () => {
    const first = shareOf(2, generation(1));
    await keep(first);
    expect(await store.owesPurge(rid)).toBe(false);
    await keep(shareOf(2, generation(2)));
    expect(await store.owesPurge(rid)).toBe(true);
    await guard.purge();
    expect(await isOnDisk(first)).toBe(false);
    expect(await kept()).toEqual([[2, 2, 1]]);
  });
});

describe('a share of what is over', () => {
  it('by an erasure that this guard was told of is refused for ever, with what came before it in its line', async () => {
    await guard.destroy(rid, endOf(generation(2)), onOthersWord);
    for (const _ of ['before', 'after a restart']) {
      for (const n of [1, 2]) expect(await keep(shareOf(3, generation(n)))).toBe('GENERATION_UNKNOWN');
      await restart();
    }
    expect(await kept()).toEqual([]);
    expect(await keep(shareOf(3, generation(3)))).toBe('no error');
    expect(await keep(shareOf(2, generation(1, { line: 2 })))).toBe('no error');
  });

  it('is refused for ever also where only its name was said', async () => {
    await guard.destroy(rid, unknownEnd(generation(2).body.g), onOthersWord);
    await restart();
    expect(await keep(shareOf(3, generation(2)))).toBe('GENERATION_UNKNOWN');
  });

  it('since a later one is served here is refused for ever', async () => {
    for (const n of [1, 2]) await serve(generation(n));
    for (const _ of ['before', 'after a restart']) {
      expect(await keep(shareOf(3, generation(1)))).toBe('GENERATION_UNKNOWN');
      await restart();
    }
    expect(await keep(shareOf(3, generation(2)))).toBe('no error'); // what is served
    expect(await keep(shareOf(2, generation(3)))).toBe('no error'); // this one is behind
  });

  it('is refused in another record for nothing of that', async () => {
    const other = fill(6, 32);
    await serve(generation(2));
    await guard.destroy(rid, endOf(generation(2)), onOthersWord);
    expect(await keep(shareOf(3, generation(1, { of: other })), other)).toBe('no error');
  });
});

describe('a promotion', () => {
  it('drops the shares of what it takes the place of, whosever they are, and owes their purge', async () => {
    vi.spyOn(store, 'purge').mockResolvedValue(); // it would follow at once
    const dropped = shareOf(2, generation(1));
    await keep(dropped);
    await keep(shareOf(3, generation(2)));
    await keep(shareOf(4, generation(3)));
    await keep(shareOf(5, generation(1, { line: 2 })));
    await serve(generation(2));
    expect(await kept()).toEqual([
      [3, 2, 1],
      [4, 3, 1],
      [5, 1, 1],
    ]);
    expect(await store.owesPurge(rid)).toBe(true);
    vi.restoreAllMocks();
    await guard.purge();
    expect(await isOnDisk(dropped)).toBe(false);
    expect(await store.owesPurge(rid)).toBe(false);
    await restart();
    expect(await kept()).toHaveLength(3);
  });

  it('of a first one drops nothing, and owes nothing', async () => {
    await keep(shareOf(2, generation(1)));
    await serve(generation(1));
    expect(await kept()).toEqual([[2, 1, 1]]);
    expect(await store.owesPurge(rid)).toBe(false);
  });
});

describe('a destruction', () => {
  it('drops the shares of what it ends, and of what came before that in its line', async () => {
    const dropped = [shareOf(2, generation(1)), shareOf(3, generation(2))];
    for (const share of dropped) await keep(share);
    await keep(shareOf(4, generation(3)));
    await keep(shareOf(5, generation(1, { line: 2 })));
    await guard.destroy(rid, endOf(generation(2)), onOthersWord);
    expect(await kept()).toEqual([
      [4, 3, 1],
      [5, 1, 1],
    ]);
    for (const share of dropped) expect(await isOnDisk(share)).toBe(false);
  });

  it('does not say that it is done while files may hold such a share', async () => {
    await keep(shareOf(2, generation(1)));
    vi.spyOn(store, 'purge').mockRejectedValue(new Error('no space left'));
    expect(await codeOf(guard.destroy(rid, endOf(generation(1)), onOthersWord))).toBe('OUTCOME_UNKNOWN');
    expect(await kept()).toEqual([]);
    expect(await store.owesPurge(rid)).toBe(true);
    expect(await codeOf(guard.destroy(rid, endOf(generation(1)), onOthersWord))).toBe('OUTCOME_UNKNOWN');
    vi.restoreAllMocks();
    expect(await codeOf(guard.destroy(rid, endOf(generation(1)), onOthersWord))).toBe('no error');
    expect(await store.owesPurge(rid)).toBe(false);
  });

  it('of what nobody showed says that it leaves something while shares are kept that may go with it', async () => {
    const leaves = async (end: End) => (await guard.destroy(rid, end, onOthersWord)).leaves;
    await keep(shareOf(2, generation(1)));
    expect(await leaves(unknownEnd(generation(2).body.g))).toBe(true);
    expect(await leaves(endOf(generation(2)))).toBe(false);
    expect(await kept()).toEqual([]);
    expect(await leaves(unknownEnd(generation(2).body.g))).toBe(false);
  });

  it('of what nobody showed takes its own share by its name, and leaves nothing where all shares are of the line that it began', async () => {
    const first = generation(1);
    for (const n of [1, 2]) await keep(shareOf(n + 1, generation(n)));
    expect((await guard.destroy(rid, unknownEnd(first.body.g), onOthersWord)).leaves).toBe(false);
    expect(await kept()).toEqual([[3, 2, 1]]);
  });
});

it('a share of an earlier deal that comes late takes no later one’s place', async () => {
  await serve(generation(1));
  const [early, late] = [dealName(5n, 2), dealName(5n, 10)];
  const share = (deal: Uint8Array<ArrayBuffer>, guardOf = 1) => ({ ...shareOf(2, generation(1)), deal, guard: guardOf });
  for (const each of [share(early), share(late), share(late)]) await guard.keep(rid, each);
  expect(await codeOf(guard.keep(rid, share(early)))).toBe('GENERATION_UNKNOWN');
  await guard.keep(rid, share(dealName(6n, 1))); // of the next process
  await guard.keep(rid, share(dealName(1n, 1), 2)); // of the guard that came after a lost one
  expect(await codeOf(guard.keep(rid, share(dealName(9n, 1), 1)))).toBe('GENERATION_UNKNOWN');
});

describe('the seed of this replica', () => {
  it('is to be dealt once a generation is live, not before', async () => {
    await prepare(generation(1));
    expect(await undealt()).toEqual([]);
    await serve(generation(1));
    await restart();
    expect(await undealt()).toEqual([toHex(rid)]);
  });

  it('is dealt no more once all have it, until another generation is live', async () => {
    const first = await serve(generation(1));
    await guard.dealt(rid, first.body.g);
    expect(await undealt()).toEqual([]);
    await guard.promote(rid, first.body.g, async () => []); // it is live already
    await restart();
    expect(await undealt()).toEqual([]);
    await serve(generation(2));
    expect(await undealt()).toEqual([toHex(rid)]);
  });

  it('is to be dealt still where what was dealt is another generation by now', async () => {
    const [first, second] = [await serve(generation(1)), await serve(generation(2))];
    await guard.dealt(rid, first.body.g);
    expect(await undealt()).toEqual([toHex(rid)]);
    await guard.dealt(rid, second.body.g);
    expect(await undealt()).toEqual([]);
  });

  it('is not to be dealt once it is erased', async () => {
    const live = await serve(generation(1));
    await guard.destroy(rid, endOf(live), onOthersWord);
    expect(await undealt()).toEqual([]);
  });

  it('is to be dealt still where another generation was erased', async () => {
    await serve(generation(1));
    await guard.destroy(rid, endOf(generation(1, { line: 2 })), onOthersWord);
    expect(await undealt()).toEqual([toHex(rid)]);
  });

  it('is to be dealt where it was restored into a new guard', async () => {
    await store.restore(generation(1), { points: [], decided: new Map(), list: undefined }, 0);
    expect(await undealt()).toEqual([toHex(rid)]);
  });

  it('is to be dealt anew, of every record that is live, where it is shared among other guards', async () => {
    const rids = [1, 2, 3].map((n) => fill(n, 32));
    for (const of of rids) await guard.dealt(of, (await serve(generation(1, { of }))).body.g);
    await prepare(generation(1));
    await guard.oweDealsTo('2:1,3:1');
    expect(await undealt()).toEqual(rids.map(toHex)); // nobody said among whom they were shared
    for (const of of rids) await guard.dealt(of, generation(1).body.g);
    for (const _ of ['before', 'after a restart']) {
      await guard.oweDealsTo('2:1,3:1');
      expect(await undealt()).toEqual([]);
      await restart();
    }
    for (const others of ['2:1,3:2', '2:1,3:2,4:1', '2:1']) {
      await guard.oweDealsTo(others);
      expect(await undealt()).toEqual(rids.map(toHex));
      for (const of of rids) await guard.dealt(of, generation(1).body.g);
    }
    expect(await undealt()).toEqual([]);
  });

  it('is owed again with as many records as there are', async () => {
    const count = 1003;
    const rids = Array.from({ length: count }, () => Uint8Array.from(randomBytes(32)));
    await Promise.all(rids.map((of) => store.restore(generation(1, { of }), { points: [], decided: new Map(), list: undefined }, 0)));
    await Promise.all(rids.map((of) => store.putDealt(of)));
    expect(await undealt()).toEqual([]);
    await guard.oweDealsTo('2:1,3:1');
    expect(await undealt()).toHaveLength(count);
  });
});

describe('a share that is sent', () => {
  const message = renderSeedShare(shareOf(2, generation(1)));

  it('is what can be kept', () => {
    expect(parseSeedShare(message)).toMatchObject({ epoch: 1n, number: 1n, enrolledAtMs: 5n, guard: 1 });
  });

  it.each(['g', 'line', 'deal', 'share', 'mac', 'signature'] as const)('has %s of the one length', (field) => {
    for (const length of [message[field].length - 1, message[field].length + 1])
      expect(() => parseSeedShare({ ...message, [field]: new Uint8Array(length) })).toThrow(expect.objectContaining({ code: 'MALFORMED' }));
    expect(() => parseSeedShare(undefined)).toThrow(expect.objectContaining({ code: 'MALFORMED' }));
  });
});
