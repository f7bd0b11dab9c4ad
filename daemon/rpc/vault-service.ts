import type { Handlers } from '../../grpc/bridge.ts';
import type { VaultService } from '../../proto/gen/backupvault/v1/vault_pb.ts';
import { describeRecord } from '../replica/describe.ts';
import { beginEnrollment, finishEnrollment } from '../replica/enrol.ts';
import { eraseRecord } from '../replica/erase.ts';
import type { Fleet } from '../replica/fleet.ts';
import { beginRecovery, finishRecovery } from '../replica/recover.ts';
import { parseAccount } from '../vault/account.ts';

/** What frontends call. The caller is the tenant that the certificate names; a request can name no other. */
export function vaultService(fleet: Fleet): Handlers<typeof VaultService, string> {
  const { vault } = fleet;
  const accountOf = (tenant: string, recordId: string) => parseAccount(vault, { tenant, recordId });
  return {
    getFleet: async () => ({ statement: vault.statement.bytes }),
    describeRecord: async ({ recordId, knownEpoch }, tenant) => ({
      ...(await describeRecord(vault, accountOf(tenant, recordId))),
      ...(knownEpoch === BigInt(vault.statement.epoch) ? {} : { statement: vault.statement.bytes }),
    }),
    beginEnrollment: async (request, tenant) => ({ offers: await beginEnrollment(fleet, accountOf(tenant, request.recordId), request) }),
    finishEnrollment: async (request, tenant) => ({
      enrolled: await finishEnrollment(fleet, accountOf(tenant, request.recordId), request),
    }),
    beginRecovery: (request, tenant) => beginRecovery(fleet, accountOf(tenant, request.recordId), request),
    finishRecovery: (request, tenant) => finishRecovery(fleet, accountOf(tenant, request.recordId), request),
    eraseRecord: async (request, tenant) => ({ forgotten: await eraseRecord(fleet, accountOf(tenant, request.recordId), request) }),
  };
}
