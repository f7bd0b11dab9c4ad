import type { VaultTransport } from '../client/transport.ts';
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
      return connection.call((vault, options) => vault.beginEnrollment({ ...request, grant: signed }, options));
    },

    async finishEnrollment(request) {
      const { body, bodyHash } = parseBody(request.body);
      const signed = await grant('finish-enrolment', request.recordId, body.g, bodyHash);
      return connection.call((vault, options) => vault.finishEnrollment({ ...request, grant: signed }, options));
    },

    async beginRecovery(request) {
      const { recordId, g, point } = request;
      const signed = await grant('begin-recovery', recordId, g, pointTranscript(point).digest);
      return connection.call((vault, options) => vault.beginRecovery({ ...request, grant: signed }, options));
    },

    // No grant: the proof of the code authorises, and the attempt was granted.
    finishRecovery: (request) => connection.call((vault, options) => vault.finishRecovery(request, options), request.turn),

    async eraseRecord(request) {
      const { recordId, g } = request;
      const rid = recordTranscript(fleet, tenant, recordId).digest;
      const signed = await grant('erase', recordId, g, eraseTranscript(rid, g).digest);
      return connection.call((vault, options) => vault.eraseRecord({ ...request, grant: signed }, options));
    },
  };
}
