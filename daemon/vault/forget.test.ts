import { create } from '@bufbuild/protobuf';
import { beforeEach, expect, it, vi } from 'vitest';
import { VaultError } from '../../primitives/errors.ts';
import { ErasureSchema, RecordState } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { SoftFleet } from '../../test/harness/soft-fleet.ts';
import { forgetErased } from './forget.ts';
import type { Vault } from './vault.ts';

// Which evidence is believed, live fleets show: test/attacks, test/integration. Here is what a tombstone does to what a guard holds.

const [first, second] = [new Uint8Array(16).fill(1), new Uint8Array(16).fill(2)] as const;
const rid = new Uint8Array(32);
const destroy = vi.fn();
const expectPurged = vi.fn();
beforeEach(() => void [destroy, expectPurged].map((mock) => mock.mockReset()));

interface Held {
  readonly live?: Uint8Array;
  readonly prepared?: Uint8Array;
  readonly destroyed?: Uint8Array;
}

/** etcd shows generation `second` erased, with nothing that shows it. */
function holding({ live, prepared, destroyed }: Held, state = RecordState.ERASED): Vault {
  const attempts = { state, g: second, number: 2n, erasure: create(ErasureSchema) };
  const body = (g: Uint8Array) => ({ body: { g, epoch: 1n } });
  const guarded = {
    live: live && body(live),
    prepared: prepared ? [body(prepared)] : [],
    destroyed: destroyed && { g: destroyed, madeWith: first },
  };
  const { statement } = new SoftFleet();
  return {
    ...{ statement, receiptKeys: new Map(), tickets: { newest: () => first } },
    ...{ register: { read: async () => ({ attempts }) }, guard: { read: async () => guarded, destroy, expectPurged } },
  } as unknown as Vault;
}

it.each<[string, Held]>([
  ['served', { live: second }],
  ['prepared', { live: first, prepared: second }],
])('keeps what is %s where etcd says that it was erased, and nothing shows it', async (_, held) => {
  expect(await forgetErased(holding(held), rid)).toEqual({ state: 'unshown', g: second });
  expect(destroy).not.toHaveBeenCalled();
});

it.each<[string, Held]>([
  ['holds another one', { live: first }],
  ['holds none', {}],
  ['destroyed it', { live: first, destroyed: second }],
])('has nothing to do where it %s', async (_, held) => {
  expect(await forgetErased(holding(held), rid)).toEqual({ state: 'gone' });
  expect(destroy).not.toHaveBeenCalled();
});

it('does not say so while the guard’s files may still hold what was dropped before', async () => {
  expectPurged.mockRejectedValue(new VaultError('OUTCOME_UNKNOWN', 'the disk is full'));
  await expect(forgetErased(holding({ destroyed: second }), rid)).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' });
});

it('keeps what etcd does not show erased', async () => {
  expect(await forgetErased(holding({ live: second }, RecordState.LIVE), rid)).toEqual({ state: 'none' });
  expect(destroy).not.toHaveBeenCalled();
});
