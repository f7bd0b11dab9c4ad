import { expect, it, vi } from 'vitest';
import { VaultError } from '../../primitives/errors.ts';
import { RecordState } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { forgetErased } from './forget.ts';
import type { Vault } from './vault.ts';

const [first, second] = [new Uint8Array(16).fill(1), new Uint8Array(16).fill(2)] as const;

/** etcd shows generation `second`, number 2; this guard serves another one, or the same. */
function holding(g: Uint8Array, number: bigint, state = RecordState.ERASED) {
  const forget = vi.fn();
  const register = { read: async () => ({ attempts: { state, g: second, number: 2n } }) };
  const expectPurged = vi.fn();
  const guard = { read: async () => ({ live: { body: { g }, number } }), forget, expectPurged };
  return { vault: { register, guard } as unknown as Vault, forget, expectPurged };
}

const rid = new Uint8Array(32);

it('forgets the generation that was erased', async () => {
  const { vault, forget } = holding(second, 2n);
  expect(await forgetErased(vault, rid)).toBe(true);
  expect(forget).toHaveBeenCalledWith(rid, second);
});

it('forgets a generation whose re-enrolment it missed before the erasure', async () => {
  const { vault, forget } = holding(first, 1n);
  expect(await forgetErased(vault, rid)).toBe(true);
  expect(forget).toHaveBeenCalledWith(rid, first);
});

it('keeps a generation that is later than the erasure', async () => {
  const { vault, forget } = holding(first, 3n);
  expect(await forgetErased(vault, rid)).toBe(true);
  expect(forget).not.toHaveBeenCalled();
});

it('does not say so while the guard’s files may still hold what was dropped before', async () => {
  const { vault, expectPurged } = holding(first, 3n);
  expectPurged.mockRejectedValue(new VaultError('OUTCOME_UNKNOWN', 'the disk is full'));
  await expect(forgetErased(vault, rid)).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' });
});

it('keeps what etcd does not show erased', async () => {
  const { vault, forget } = holding(first, 1n, RecordState.LIVE);
  expect(await forgetErased(vault, rid)).toBe(false);
  expect(forget).not.toHaveBeenCalled();
});
