import { create } from '@bufbuild/protobuf';
import { beforeEach, expect, it, vi } from 'vitest';
import { VaultError } from '../../primitives/errors.ts';
import { ErasureSchema, RecordState } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { SoftFleet } from '../../test/harness/soft-fleet.ts';
import { forgetErased } from './forget.ts';
import type { Vault } from './vault.ts';

// Which evidence is believed, live fleets show: test/attacks, test/integration. Here is what a tombstone does to what a guard holds.

const named = (n: number) => new Uint8Array(16).fill(n);
const [first, second, third] = [1, 2, 3].map(named) as [Uint8Array, Uint8Array, Uint8Array];
const rid = new Uint8Array(32);
const destroy = vi.fn();
const expectPurged = vi.fn();
beforeEach(() => void [destroy, expectPurged].map((mock) => mock.mockReset()));

interface Held {
  readonly live?: Uint8Array;
  readonly prepared?: Uint8Array;
  readonly destroyed?: Uint8Array;
}

/** etcd shows generation `second` erased, or what is told, with nothing that shows it. All generations are of one line. */
function holding({ live, prepared, destroyed }: Held, register: object = {}): Vault {
  const attempts = { state: RecordState.ERASED, ...endOf(second), erasure: create(ErasureSchema), ...register };
  const body = (g: Uint8Array) => ({ body: { ...endOf(g), shares: [] } });
  const guarded = {
    live: live && body(live),
    prepared: prepared ? [body(prepared)] : [],
    destroyed: destroyed ? [{ ...endOf(destroyed), madeWith: first, byTenant: false }] : [],
  };
  const { statement } = new SoftFleet();
  return {
    ...{ statement, receiptKeys: new Map(), tickets: { newest: () => first } },
    ...{ register: { read: async () => attempts }, guard: { read: async () => guarded, destroy, expectPurged } },
  } as unknown as Vault;
}

const endOf = (g: Uint8Array) => ({ g, line: first, epoch: 1n, number: BigInt(g[0] as number) });
const unshown = (g: Uint8Array) => ({ state: 'unshown', held: { body: endOf(g) } });

it.each<[string, Held, Uint8Array]>([
  ['what it serves', { live: second }, second],
  ['what it prepared', { prepared: second }, second],
  ['what came before it', { live: first }, first],
])('keeps %s where etcd says that it was erased, and nothing shows it', async (_, held, g) => {
  expect(await forgetErased(holding(held), rid)).toMatchObject(unshown(g));
  expect(destroy).not.toHaveBeenCalled();
});

it.each<[string, Held]>([
  ['holds one that comes after', { live: third }],
  ['holds none', {}],
  ['destroyed it', { live: third, destroyed: second }],
])('has nothing to do where it %s', async (_, held) => {
  expect(await forgetErased(holding(held), rid)).toEqual({ state: 'gone' });
  expect(destroy).not.toHaveBeenCalled();
});

it('keeps what it serves where etcd says that another line took its place', async () => {
  const register = { state: RecordState.LIVE, g: named(9), line: named(9), number: 9n };
  expect(await forgetErased(holding({ live: second }, register), rid)).toMatchObject(unshown(second));
  expect(await forgetErased(holding({ live: second }, { ...register, line: first }), rid)).toEqual({ state: 'none' });
  expect(destroy).not.toHaveBeenCalled();
});

it('does not say so while the guard’s files may still hold what was dropped before', async () => {
  expectPurged.mockRejectedValue(new VaultError('OUTCOME_UNKNOWN', 'the disk is full'));
  await expect(forgetErased(holding({ destroyed: second }), rid)).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' });
});

it('keeps what etcd does not show erased', async () => {
  expect(await forgetErased(holding({ live: second }, { state: RecordState.LIVE }), rid)).toEqual({ state: 'none' });
  expect(destroy).not.toHaveBeenCalled();
});
