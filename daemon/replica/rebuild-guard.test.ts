import { create } from '@bufbuild/protobuf';
import { beforeEach, expect, it, vi } from 'vitest';
import { systemClock } from '../../primitives/clock.ts';
import { VaultError } from '../../primitives/errors.ts';
import { RecallResponseSchema } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import type { Statement } from '../../protocol/statement.ts';
import type { GuardStore } from '../ledger/guard-store.ts';
import type { Register } from '../ledger/register.ts';
import { GrantVerifier } from '../vault/grants.ts';
import type { Participant } from './participant.ts';
import { rebuildGuard } from './rebuild-guard.ts';

const rids = [1, 2, 3].map((i) => new Uint8Array(32).fill(i));
const outdated = new VaultError('RECORD_OUTDATED', 'from before a restore');

// Nobody here holds a share of replica 2: what is restored into its guard is tested with a real fleet, in test/integration.
const recall = vi.fn(async () => create(RecallResponseSchema));
const read = vi.fn();
const reconcile = vi.fn();

const rebuild = (peers = [1, 3]) =>
  rebuildGuard({
    index: 2,
    statement: { fleet: 'test', epoch: 1, threshold: 2, replicas: [1, 2, 3] } as unknown as Statement,
    receiptKeys: new Map(),
    grants: new GrantVerifier(new Map(), systemClock),
    store: {} as GuardStore,
    register: { rids: async () => rids, read, reconcile } as unknown as Register,
    peers: peers.map((index) => ({ index, calls: { recall } }) as unknown as Participant),
    needed: 2,
    clock: systemClock,
  });

beforeEach(() => {
  vi.resetAllMocks();
  recall.mockImplementation(async () => create(RecallResponseSchema));
  read.mockResolvedValue({});
});

it('reconciles what etcd has from before a restore, and goes on', async () => {
  read.mockRejectedValueOnce(outdated);
  expect(await rebuild()).toEqual({ rebuilt: 0, left: 3 });
  expect(reconcile).toHaveBeenCalledExactlyOnceWith(rids[0], [expect.anything(), expect.anything()], { threshold: 2, unheard: 1 });
  expect(read).toHaveBeenCalledTimes(4);
});

it('leaves what all others together cannot tell, and goes on', async () => {
  read.mockRejectedValueOnce(outdated);
  reconcile.mockRejectedValueOnce(new VaultError('NOT_ENOUGH_REPLICAS', 'cannot tell'));
  expect(await rebuild()).toEqual({ rebuilt: 0, left: 3 });
  expect(read).toHaveBeenCalledTimes(3);
});

it('reconciles nothing with fewer than n−t+1 others', async () => {
  read.mockRejectedValueOnce(outdated);
  await expect(rebuild([1])).rejects.toMatchObject({ code: 'NOT_ENOUGH_REPLICAS' });
  expect(reconcile).not.toHaveBeenCalled();
});
