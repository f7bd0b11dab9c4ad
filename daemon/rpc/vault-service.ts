import type { Handlers } from '../../grpc/bridge.ts';
import type { VaultService } from '../../proto/gen/backupvault/v1/vault_pb.ts';
import { faultPoint } from '../fault-point.ts';
import { describeRecord } from '../replica/describe.ts';
import { beginEnrollment, finishEnrollment } from '../replica/enrol.ts';
import { eraseRecord } from '../replica/erase.ts';
import type { Fleet } from '../replica/fleet.ts';
import { decideHold } from '../replica/holds.ts';
import { putList } from '../replica/lists.ts';
import { reconciling } from '../replica/reconcile.ts';
import { beginRecovery, finishRecovery } from '../replica/recover.ts';
import { type Account, expectNoEarlierEpoch, expectSameEpoch, parseAccount } from '../vault/account.ts';

/** What frontends call. The caller is the tenant that the certificate names; a request can name no other. */
export function vaultService(fleet: Fleet): Handlers<typeof VaultService, string> {
  const { vault } = fleet;
  /** Names the account, and sees to it that what etcd says of it is from after the last restore. */
  const forAccount = async <T>(tenant: string, recordId: string, work: (account: Account) => Promise<T>): Promise<T> => {
    const account = parseAccount(vault, { tenant, recordId });
    const answer = await reconciling(fleet, account.rid, () => work(account));
    faultPoint('before-reply');
    return answer;
  };
  /** The same, for what is signed for an epoch: the client would refuse a reply for another one than it goes by. */
  const inEpoch = <T>(tenant: string, { recordId, epoch }: { recordId: string; epoch: bigint }, work: (account: Account) => Promise<T>) =>
    forAccount(tenant, recordId, (account) => {
      if (epoch !== 0n) expectSameEpoch(vault, epoch); // a client may not say which it goes by
      return work(account);
    });
  /** For a client that lacks the epoch. */
  const statement = () => {
    const { smime, logProof } = fleet.bundle() ?? {};
    return { statement: vault.statement.bytes, ...(smime && logProof ? { bundle: { smime, logProof } } : {}) };
  };
  return {
    getFleet: async ({ treeSize }) => ({ ...statement(), consistency: [...(fleet.bundle()?.consistencyFrom(Number(treeSize)) ?? [])] }),
    describeRecord: ({ recordId, knownEpoch, leastEpoch, withLists }, tenant) =>
      forAccount(tenant, recordId, async (account) => {
        expectNoEarlierEpoch(vault, leastEpoch);
        const description = await describeRecord(fleet, account, withLists);
        return knownEpoch === BigInt(vault.statement.epoch) ? description : { ...description, ...statement() };
      }),
    beginEnrollment: (request, tenant) =>
      inEpoch(tenant, request, async (account) => ({ offers: await beginEnrollment(fleet, account, request) })),
    finishEnrollment: (request, tenant) =>
      forAccount(tenant, request.recordId, async (account) => ({ enrolled: await finishEnrollment(fleet, account, request) })),
    beginRecovery: (request, tenant) => inEpoch(tenant, request, (account) => beginRecovery(fleet, account, request)),
    finishRecovery: (request, tenant) => inEpoch(tenant, request, (account) => finishRecovery(fleet, account, request)),
    putList: (request, tenant) => inEpoch(tenant, request, async (account) => ({ lists: await putList(fleet, account, request) })),
    decideHold: (request, tenant) => inEpoch(tenant, request, (account) => decideHold(fleet, account, request)),
    eraseRecord: (request, tenant) => forAccount(tenant, request.recordId, (account) => eraseRecord(fleet, account, request)),
  };
}
