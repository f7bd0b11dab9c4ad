import { isVaultError, VaultError } from '../primitives/errors.ts';
import type * as pb from '../proto/gen/backupvault/v1/vault_pb.ts';

/**
 * How a device reaches the vault: through its backup frontend, over whatever the app uses. `grant` fields are empty here, the
 * frontend fills them in (frontend/transport.ts). Rejects with VaultError (protocol/error-info.ts carries one as bytes);
 * anything else that it rejects with counts as OUTCOME_UNKNOWN. Every call may be repeated with the same bytes.
 */
export interface VaultTransport {
  getFleet(request: pb.GetFleetRequest): Promise<pb.GetFleetResponse>;
  describeRecord(request: pb.DescribeRecordRequest): Promise<pb.DescribeRecordResponse>;
  beginEnrollment(request: pb.BeginEnrollmentRequest): Promise<pb.BeginEnrollmentResponse>;
  finishEnrollment(request: pb.FinishEnrollmentRequest): Promise<pb.FinishEnrollmentResponse>;
  beginRecovery(request: pb.BeginRecoveryRequest): Promise<pb.BeginRecoveryResponse>;
  finishRecovery(request: pb.FinishRecoveryRequest): Promise<pb.FinishRecoveryResponse>;
  putList(request: pb.PutListRequest): Promise<pb.PutListResponse>;
  decideHold(request: pb.DecideHoldRequest): Promise<pb.DecideHoldResponse>;
  eraseRecord(request: pb.EraseRecordRequest): Promise<pb.EraseRecordResponse>;
}

/** The same, with every foreign error turned into OUTCOME_UNKNOWN: whether the request arrived cannot be known here. */
export function withTypedErrors(transport: VaultTransport): VaultTransport {
  return {
    getFleet: typed((request) => transport.getFleet(request)),
    describeRecord: typed((request) => transport.describeRecord(request)),
    beginEnrollment: typed((request) => transport.beginEnrollment(request)),
    finishEnrollment: typed((request) => transport.finishEnrollment(request)),
    beginRecovery: typed((request) => transport.beginRecovery(request)),
    finishRecovery: typed((request) => transport.finishRecovery(request)),
    putList: typed((request) => transport.putList(request)),
    decideHold: typed((request) => transport.decideHold(request)),
    eraseRecord: typed((request) => transport.eraseRecord(request)),
  };
}

function typed<Request, Response>(call: (request: Request) => Promise<Response>) {
  return async (request: Request): Promise<Response> => {
    try {
      return await call(request);
    } catch (cause) {
      if (isVaultError(cause)) throw cause;
      throw new VaultError('OUTCOME_UNKNOWN', 'The connection to the vault failed; the same bytes may be sent again.', { cause });
    }
  };
}
