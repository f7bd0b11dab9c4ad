import type { VaultTransport } from '../client/transport.ts';
import { VaultError } from '../primitives/errors.ts';
import { parseBody } from '../protocol/body.ts';
import type { GrantOperation } from '../protocol/grant.ts';
import { ridFor } from '../protocol/record-id.ts';
import { beginEnrolmentTranscript, eraseTranscript, pointTranscript } from '../protocol/transcripts.ts';
import type { GrantSigner } from './grant-signer.ts';
import type { VaultConnection } from './vault-connection.ts';

export interface FrontendTransportOptions {
  readonly connection: VaultConnection;
  readonly signer: GrantSigner;
  readonly fleet: string;
  /** As the frontend's certificate names it. */
  readonly tenant: string;
  /** The record of the account that is signed in: a request for another one is refused before anything is signed. */
  readonly account: string;
}

/**
 * Relays the requests of one account's device to the vault, with a grant for each: what is signed here, replicas believe. So whoever
 * calls makes one for each session that it authenticated, and names the account from the session, never from a message. Throws
 * GRANT_REFUSED for a request that names another account.
 */
export function frontendTransport({ connection, signer, fleet, tenant, account }: FrontendTransportOptions): VaultTransport {
  const grant = (operation: GrantOperation, g: Uint8Array, authorises: Uint8Array) =>
    signer.sign({ fleet, tenant, operation, recordId: account, g, authorises });
  const expectOwn = ({ recordId }: { readonly recordId: string }) => {
    if (recordId !== account)
      throw new VaultError(
        'GRANT_REFUSED',
        'The request names another record than that of the account that is signed in: nothing was signed.',
      );
  };

  return {
    getFleet: (request) => connection.call((vault, options) => vault.getFleet(request, options)),

    async describeRecord(request) {
      expectOwn(request);
      return connection.call((vault, options) => vault.describeRecord(request, options));
    },

    async beginEnrollment(request) {
      expectOwn(request);
      const { g, point, proofKey } = request;
      const signed = await grant('begin-enrolment', g, beginEnrolmentTranscript(point, proofKey).digest);
      return connection.call((vault, options) => vault.beginEnrollment({ ...request, grant: signed }, options), request.turn);
    },

    async finishEnrollment(request) {
      expectOwn(request);
      const { body, bodyHash } = parseBody(request.body);
      const signed = await grant('finish-enrolment', body.g, bodyHash);
      return connection.call((vault, options) => vault.finishEnrollment({ ...request, grant: signed }, options), request.turn);
    },

    async beginRecovery(request) {
      expectOwn(request);
      const { g, point } = request;
      const signed = await grant('begin-recovery', g, pointTranscript(point).digest);
      return connection.call((vault, options) => vault.beginRecovery({ ...request, grant: signed }, options), request.turn);
    },

    // No grant: the proof of the code authorises, and the attempt was granted.
    async finishRecovery(request) {
      expectOwn(request);
      return connection.call((vault, options) => vault.finishRecovery(request, options), request.turn);
    },

    async eraseRecord(request) {
      expectOwn(request);
      const { g } = request;
      const rid = ridFor(fleet, tenant, account);
      const signed = await grant('erase', g, eraseTranscript(rid, g).digest);
      return connection.call((vault, options) => vault.eraseRecord({ ...request, grant: signed }, options), request.turn);
    },
  };
}
