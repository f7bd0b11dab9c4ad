import { randomBytes } from 'node:crypto';
import { combine } from 'shamir-secret-sharing';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { constantTimeEqual, toHex } from '../../primitives/bytes.ts';
import { choices } from '../../primitives/choices.ts';
import { systemClock } from '../../primitives/clock.ts';
import { VaultError } from '../../primitives/errors.ts';
import type { SeedShare } from '../../proto/gen/backupvault/v1/record_pb.ts';
import type { KeepRequest } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import { clientOf, enrolInput, RECORD } from '../../test/harness/soft-client.ts';
import { SoftFleet } from '../../test/harness/soft-fleet.ts';
import { Dealing } from './dealing.ts';
import type { Fleet } from './fleet.ts';

// Replica 2 of five, t = 3, shares the seed of a record among the others.

const soft = new SoftFleet({ replicas: 5 });
await clientOf(soft).enroll(enrolInput());
const { body, bodyHash } = soft.bodyOf(RECORD);
const OTHERS = [1, 3, 4, 5];

let live: object | undefined;
let owed: Uint8Array[];
let present: Set<number>;
/** Those that do not keep what they are sent. */
let failing: Set<number>;
/** Those that serve a later generation of the line. */
let ahead: Set<number>;
/** What each was sent, in order. */
let sent: Map<number, SeedShare[]>;
let seed: Uint8Array;
const dealt = vi.fn();
const oweDealsTo = vi.fn();
let dealing: Dealing;

beforeEach(() => {
  vi.resetAllMocks();
  seed = randomBytes(32);
  const subRecord = { index: 2, seed, enrolledAtMs: 5n, mac: new Uint8Array(32).fill(1), signature: new Uint8Array(64).fill(2) };
  live = { body, bodyHash, subRecord, prepared: [] };
  owed = [body.rid];
  [present, failing, ahead, sent] = [new Set([1, 2, 3, 4, 5]), new Set(), new Set(), new Map()];
  dealing = new Dealing(fleet());
  dealt.mockImplementation(async () => {
    owed = [];
  });
});

function fleet(): Fleet {
  const { statement } = soft;
  const keep = async (index: number, { rid, epoch, share }: KeepRequest) => {
    expect(toHex(rid)).toBe(toHex(body.rid));
    expect(epoch).toBe(1n);
    sent.set(index, [...(sent.get(index) ?? []), { ...(share as SeedShare), share: Uint8Array.from(share?.share ?? []) }]);
    if (ahead.has(index)) throw new VaultError('GENERATION_UNKNOWN', 'it serves a later one');
    if (failing.has(index)) throw new VaultError('OUTCOME_UNKNOWN', 'it does not answer');
    return {};
  };
  const guard = {
    sequence: 7n,
    list: async () => undefined,
    read: async () => ({ live }),
    dealt,
    oweDealsTo,
    undealt: async function* () {
      yield* owed;
    },
  };
  return {
    vault: { statement, self: statement.replicas[1], guard, clock: systemClock },
    participants: [1, 2, 3, 4, 5].map((index) => ({ index, calls: { keep: (request: KeepRequest) => keep(index, request) } })),
    present: () => present,
  } as unknown as Fleet;
}

const round = () => dealing.round(() => false);
const lastOf = (index: number) => sent.get(index)?.at(-1) as SeedShare;

describe('a seed that is not shared yet', () => {
  it('is shared among all others, none of it here: any t give it back, and beside it is what else the token wants', async () => {
    expect(await round()).toBe(0);
    expect([...sent.keys()]).toEqual(OTHERS);
    for (const some of choices(OTHERS, 3))
      expect(toHex(await combine(some.map((index) => lastOf(index).share as Uint8Array<ArrayBuffer>)))).toBe(toHex(seed));
    const wrong = await combine(OTHERS.slice(0, 2).map((index) => lastOf(index).share as Uint8Array<ArrayBuffer>));
    expect(constantTimeEqual(wrong, seed)).toBe(false); // two are too few
    const deals = new Set(OTHERS.map((index) => toHex(lastOf(index).deal)));
    expect(deals.size).toBe(1);
    for (const index of OTHERS)
      expect(lastOf(index)).toMatchObject({
        number: body.number,
        epoch: 1n,
        enrolledAtMs: 5n,
        guard: soft.statement.replicas[1]?.guardIncarnation,
      });
    expect(OTHERS.map((index) => toHex(lastOf(index).g))).toEqual(OTHERS.map(() => toHex(body.g)));
    expect(dealt).toHaveBeenCalledExactlyOnceWith(body.rid, body.g);
  });

  it('is dealt afresh until all confirmed one and the same deal', async () => {
    failing.add(4);
    expect(await round()).toBe(1);
    expect(dealt).not.toHaveBeenCalled();
    failing.clear();
    expect(await round()).toBe(0);
    const [before, after] = [0, 1].map((i) => OTHERS.map((index) => sent.get(index)?.[i] as SeedShare)) as [SeedShare[], SeedShare[]];
    expect(new Set([...before, ...after].map(({ deal }) => toHex(deal))).size).toBe(2);
    expect(Buffer.compare(before[0]?.deal ?? seed, after[0]?.deal ?? seed)).toBe(-1);
    expect(new Set([...before, ...after].map(({ share }) => toHex(share))).size).toBe(8); // another polynomial
    expect(dealt).toHaveBeenCalledOnce();
    expect(await round()).toBe(0);
    expect(sent.get(1)).toHaveLength(2);
  });

  it('that not all confirmed is dealt again once all are there, and not at every turn while one is away', async () => {
    failing.add(4);
    present.delete(4);
    for (let i = 0; i < 3; i++) expect(await round()).toBe(1);
    expect(sent.get(1)).toHaveLength(1); // the first time t others have it, if need be
    failing.clear();
    present.add(4);
    expect(await round()).toBe(0);
    expect(sent.get(1)).toHaveLength(2);
  });

  it('of what so many replaced that t serve it no more is needed by nobody', async () => {
    ahead = new Set([1, 3]);
    expect(await round()).toBe(1);
    ahead.add(5);
    expect(await round()).toBe(0);
    expect(dealt).toHaveBeenCalledOnce();
  });

  it('of what is served no more is not dealt', async () => {
    live = undefined;
    expect(await round()).toBe(0);
    expect(sent.size).toBe(0);
    expect(dealt).not.toHaveBeenCalled();
  });

  it('is left once the replica stops', async () => {
    await dealing.round(() => true);
    expect(sent.size).toBe(0);
    expect(dealt).not.toHaveBeenCalled();
  });
});

it('says once among which guards seeds are shared, by the statement', async () => {
  await round();
  await round();
  const [one] = soft.statement.replicas.map(({ guardIncarnation }) => guardIncarnation);
  expect(oweDealsTo).toHaveBeenCalledExactlyOnceWith(OTHERS.map((index) => `${index}:${one}`).join());
});
