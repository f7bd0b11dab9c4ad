import { expect, test } from 'vitest';
import { toHex } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import { RecordState } from '../../proto/gen/backupvault/v1/record_pb.ts';
import type { GuardStore } from './guard-store.ts';
import type { Register } from './register.ts';
import { type FoundGeneration, recordsServed, storedGenerations } from './stored-generations.ts';

const bytes = (n: number) => new Uint8Array(16).fill(n);
const guarded = (state: 'live' | 'prepared', n: number, epoch: number) => ({
  state,
  body: { rid: bytes(n), g: bytes(n), epoch: BigInt(epoch) },
});
const stored = (n: number, epoch: number, holders: number[], state = RecordState.LIVE) => ({
  rid: bytes(n),
  attempts: { g: bytes(n), epoch: BigInt(epoch), state, holders },
});

/** 1 is served, 2 in etcd alone, 3 prepared and committed, 4 prepared only, 5 prepared and unclear, 6 another's, 7 new, 8 erased. */
const store = {
  generations: async function* () {
    yield guarded('live', 1, 1);
    yield guarded('live', 7, 2);
    for (const n of [3, 4, 5]) yield guarded('prepared', n, 1);
  },
} as unknown as GuardStore;

const more = Array.from({ length: 200 }, (_, i) => stored(10 + i, 1, [3])); // two pages
const inEtcd = [
  stored(1, 1, [1, 2]),
  stored(2, 1, [1]),
  stored(6, 1, [2, 3]),
  stored(7, 2, [1]),
  stored(8, 1, [1], RecordState.ERASED),
  ...more,
];
const register = {
  records: async (limit: number, after?: Uint8Array) =>
    inEtcd.filter(({ rid }) => after === undefined || Buffer.compare(rid, after) > 0).slice(0, limit),
  read: async (rid: Uint8Array) => {
    if (rid[0] === 5) throw new VaultError('RECORD_OUTDATED', 'from before a restore');
    return rid[0] === 3 ? { g: bytes(3) } : rid[0] === 4 ? { g: bytes(9) } : undefined;
  },
} as unknown as Register;

async function collect(generations: AsyncIterable<FoundGeneration>): Promise<string[]> {
  const found: string[] = [];
  for await (const { rid, epoch, where } of generations) found.push(`${rid[0]} ${epoch} ${where}`);
  return found;
}

test('a replica stored what its guard holds, and what etcd names it a holder of', async () => {
  const found = await collect(storedGenerations(store, register, 1));
  const guard = ['1 1 live', '7 2 live', '3 1 prepared', '4 1 prepared', '5 1 prepared'];
  expect(found).toEqual([...guard, '1 1 etcd', '2 1 etcd', '7 2 etcd']);
  expect(await collect(storedGenerations(undefined, register, 3))).toHaveLength(1 + more.length);
});

test('of those, each record counts once that may be served, and none that was prepared in vain', async () => {
  const served = await recordsServed(storedGenerations(store, register, 1), register, ({ epoch }) => epoch === 1);
  expect([...served].sort()).toEqual([1, 2, 3, 5].map((n) => toHex(bytes(n))));
});
