import { create } from '@bufbuild/protobuf';
import { VaultError } from '../primitives/errors.ts';
import type { SecretBytes } from '../primitives/secret-bytes.ts';
import { type FinishRecoveryRequest, FinishRecoveryRequestSchema, type Release } from '../proto/gen/backupvault/v1/vault_pb.ts';
import { replicaOf } from '../protocol/statement.ts';
import { proofTranscript } from '../protocol/transcripts.ts';
import type { OpenedAttempt } from './attempt.ts';
import { expectEnough, verifyEach } from './claims.ts';
import { authKey, proofOf } from './derive.ts';
import { insist } from './insist.ts';
import { openPayload, type ReleasedShare } from './open-body.ts';
import type { RecoveryRequest } from './receipts.ts';
import { unseal } from './seal.ts';
import { type EphemeralKey, newEphemeralKey, sessionKey } from './session.ts';
import type { Vault } from './vault.ts';

/** Proves the code to the holders and opens the payload with what they release. */
export class ReleaseSession {
  readonly #request: RecoveryRequest;
  readonly #attempt: OpenedAttempt;
  readonly #ephemeral: EphemeralKey = newEphemeralKey();
  readonly #message: FinishRecoveryRequest;

  constructor(recordId: string, request: RecoveryRequest, attempt: OpenedAttempt) {
    this.#request = request;
    this.#attempt = attempt;
    this.#message = this.#prove(recordId);
  }

  /** May be called again: it sends the same bytes. Throws NOT_ENOUGH_REPLICAS, REPLY_UNTRUSTED, and errors of the transport. */
  open({ transport, clock }: Pick<Vault, 'transport' | 'clock'>): Promise<SecretBytes> {
    return insist(clock, async () => {
      const { releases } = await transport.finishRecovery(this.#message);
      const claims = await verifyEach(releases, (release) => this.#unseal(release));
      expectEnough(claims, this.#attempt.body.threshold, 'released shares');
      const backupKey = await openPayload(this.#attempt.body, this.#attempt.s, claims.valid);
      if (!backupKey) throw new VaultError('NOT_ENOUGH_REPLICAS', 'Too few of the released shares are true.');
      return backupKey;
    });
  }

  /** For every holder, whether it answered or not, and whether its answer was true: it shall learn nothing from being left out. */
  #prove(recordId: string): FinishRecoveryRequest {
    const { statement, rid, g, point } = this.#request;
    const { body, attempt, s } = this.#attempt;
    const { fleet, epoch } = statement;
    const clientKey = this.#ephemeral.publicKey;
    const proofs = body.shares.map(({ index }) => {
      const transcript = proofTranscript({ fleet, epoch, index, rid, g }, attempt, point, clientKey);
      return { index, proof: proofOf(authKey(s.expose(), rid, g, index), transcript) };
    });
    return create(FinishRecoveryRequestSchema, { recordId, g, attempt, point, clientKey, proofs, epoch: BigInt(epoch) });
  }

  async #unseal({ index, sealed }: Release): Promise<ReleasedShare> {
    const { statement, rid, g, point } = this.#request;
    const { body, bodyHash, attempt } = this.#attempt;
    const replica = replicaOf(statement, index);
    if (!body.shares.some((share) => share.index === index)) throw new VaultError('REPLY_UNTRUSTED', `Replica ${index} holds no share.`);
    const { fleet, epoch, hash: statementHash } = statement;
    const binding = { fleet, epoch, statementHash, rid, g, attempt, point, bodyHash, purpose: 'recover-release' } as const;
    return { index, y: await unseal(await sessionKey(replica, this.#ephemeral, binding), sealed) };
  }
}
