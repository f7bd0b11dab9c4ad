import type { VaultTransport } from '../client/transport.ts';
import type { Millis } from '../primitives/brand.ts';
import { VaultError } from '../primitives/errors.ts';
import type { BeginRecoveryRequest } from '../proto/gen/backupvault/v1/vault_pb.ts';
import { parseBody } from '../protocol/body.ts';
import type { GrantOperation } from '../protocol/grant.ts';
import type { CompressedPoint } from '../protocol/point.ts';
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
  /** For a word to the account's owner, by whatever other way there is. */
  readonly notify?: Notify;
}

/** That somebody recovers the record. (rid, g, kind, pointHash) names it: who was told of that need not be told again. */
export interface RecoveryNotice {
  /** An attempt was counted, be its code right or wrong; or its code was right, and its answer is held until `until`. */
  readonly kind: 'attempt' | 'held';
  readonly recordId: string;
  /** 32 bytes. */
  readonly rid: Uint8Array;
  readonly g: Uint8Array;
  /** k, as the device says it. */
  readonly attempt: number;
  /** 32 bytes: h. */
  readonly pointHash: Uint8Array;
  /** By the clock of the last replica to release; 0 for 'attempt'. */
  readonly until: Millis;
}

/**
 * Resolves once the notice is kept where it is not lost. Called at least once for each: no answer of the vault goes on to the device before. So no proof of a code can be made whose
 * attempt was not told. If it rejects, the device is told to send the same again, which costs nothing.
 */
export type Notify = (notice: RecoveryNotice) => Promise<void>;

/**
 * Relays the requests of one account's device to the vault, with a grant for each: what is signed here, replicas believe. So whoever
 * calls makes one for each session that it authenticated, and names the account from the session, never from a message. Throws
 * GRANT_REFUSED for a request that names another account.
 */
export function frontendTransport({ connection, signer, fleet, tenant, account, notify }: FrontendTransportOptions): VaultTransport {
  const tell = async (
    kind: RecoveryNotice['kind'],
    { g, point }: Pick<BeginRecoveryRequest, 'g' | 'point'>,
    attempt: number,
    until: Millis,
  ) => {
    const pointHash = pointTranscript(point as CompressedPoint).digest;
    try {
      await notify?.({ kind, recordId: account, rid: ridFor(fleet, tenant, account), g, attempt, pointHash, until });
    } catch (cause) {
      throw new VaultError('OUTCOME_UNKNOWN', 'The owner of the record could not be told of this; send exactly the same again.', { cause });
    }
  };
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
      return connection.call((vault, options) => vault.describeRecord(request, options), request.turn);
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
      const reply = await connection.call((vault, options) => vault.beginRecovery({ ...request, grant: signed }, options), request.turn);
      await tell('attempt', request, reply.attempt, 0);
      return reply;
    },

    // No grant: the proof of the code authorises, and the attempt was granted.
    async finishRecovery(request) {
      expectOwn(request);
      const reply = await connection.call((vault, options) => vault.finishRecovery(request, options), request.turn);
      const until = Math.max(0, ...reply.held.map(({ untilMs }) => Number(untilMs)));
      if (reply.held.length > 0) await tell('held', request, request.attempt, until);
      return reply;
    },

    // No grant, here and below: the owner key authorises.
    async putList(request) {
      expectOwn(request);
      return connection.call((vault, options) => vault.putList(request, options), request.turn);
    },

    async decideHold(request) {
      expectOwn(request);
      return connection.call((vault, options) => vault.decideHold(request, options), request.turn);
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
