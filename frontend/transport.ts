import { create } from '@bufbuild/protobuf';
import type { VaultTransport } from '../client/transport.ts';
import {
  BeginEnrollmentRequestSchema,
  BeginRecoveryRequestSchema,
  EraseRecordRequestSchema,
  FinishEnrollmentRequestSchema,
} from '../proto/gen/backupvault/v1/vault_pb.ts';
import { parseBody } from '../protocol/body.ts';
import type { GrantOperation } from '../protocol/grant.ts';
import { beginEnrolmentTranscript, eraseTranscript, pointTranscript, recordTranscript } from '../protocol/transcripts.ts';
import type { GrantSigner } from './grant-signer.ts';
import type { VaultConnection } from './vault-connection.ts';

export interface FrontendTransportOptions {
  readonly connection: VaultConnection;
  readonly signer: GrantSigner;
  readonly fleet: string;
  /** As the frontend's certificate names it. */
  readonly tenant: string;
}

/**
 * Relays a device's requests to the vault with a grant for each. Whoever calls has authenticated the account and compared
 * `record_id` with it: what is signed here, replicas believe.
 */
export function frontendTransport({ connection, signer, fleet, tenant }: FrontendTransportOptions): VaultTransport {
  const grant = (operation: GrantOperation, recordId: string, g: Uint8Array, authorises: Uint8Array) =>
    signer.sign({ fleet, tenant, operation, recordId, g, authorises });

  return {
    getFleet: (request) => connection.call((vault, options) => vault.getFleet(request, options)),

    describeRecord: (request) => connection.call((vault, options) => vault.describeRecord(request, options)),

    async beginEnrollment(request) {
      const { recordId, g, point, proofKey } = request;
      const signed = await grant('begin-enrolment', recordId, g, beginEnrolmentTranscript(point, proofKey).digest);
      const granted = create(BeginEnrollmentRequestSchema, { ...request, grant: signed });
      return connection.call((vault, options) => vault.beginEnrollment(granted, options));
    },

    async finishEnrollment(request) {
      const { body, bodyHash } = parseBody(request.body);
      const signed = await grant('finish-enrolment', request.recordId, body.g, bodyHash);
      const granted = create(FinishEnrollmentRequestSchema, { ...request, grant: signed });
      return connection.call((vault, options) => vault.finishEnrollment(granted, options));
    },

    async beginRecovery(request) {
      const { recordId, g, point } = request;
      const signed = await grant('begin-recovery', recordId, g, pointTranscript(point).digest);
      const granted = create(BeginRecoveryRequestSchema, { ...request, grant: signed });
      return connection.call((vault, options) => vault.beginRecovery(granted, options));
    },

    // No grant: the proof of the code authorises, and the attempt was granted.
    finishRecovery: (request) => connection.call((vault, options) => vault.finishRecovery(request, options), request.turn),

    async eraseRecord(request) {
      const { recordId, g } = request;
      const rid = recordTranscript(fleet, tenant, recordId).digest;
      const signed = await grant('erase', recordId, g, eraseTranscript(rid, g).digest);
      const granted = create(EraseRecordRequestSchema, { ...request, grant: signed });
      return connection.call((vault, options) => vault.eraseRecord(granted, options));
    },
  };
}
