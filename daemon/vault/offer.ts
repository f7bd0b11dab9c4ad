import { randomBytes } from 'node:crypto';
import { create } from '@bufbuild/protobuf';
import { exactly } from '../../primitives/bytes.ts';
import { isVaultError } from '../../primitives/errors.ts';
import { TicketSchema } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { type OfferRequest, type OfferResponse, OfferResponseSchema } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import { G_LENGTH } from '../../protocol/body.ts';
import { NONCE_LENGTH } from '../../protocol/offer.ts';
import { beginEnrolmentTranscript } from '../../protocol/transcripts.ts';
import { parseAccount } from './account.ts';
import { forgetErased } from './forget.ts';
import { parseCurvePoint } from './p256.ts';
import type { Vault } from './vault.ts';

/**
 * Evaluates P under a seed that no other offer has, and offers that. Stores nothing: the seed can be made again, by this replica alone, of
 * what the ticket says. Under one that could come a second time, a record that was erased and begun again would answer as it did before.
 */
export async function offer(vault: Vault, request: OfferRequest): Promise<OfferResponse> {
  const { statement, token } = vault;
  const { fleet, epoch } = statement;
  const { index } = vault.self;
  const account = parseAccount(vault, request.account);
  const { rid } = account;
  const g = exactly(G_LENGTH, request.g, 'g');
  const point = parseCurvePoint(request.point, 'point');
  const proofKey = parseCurvePoint(request.proofKey, 'proof_key');
  const authorises = beginEnrolmentTranscript(point, proofKey).digest;
  await vault.grants.verify(request.grant, { ...account, fleet, operation: 'begin-enrolment', g, authorises });

  // What this replica missed shall not happen between the offer and its acceptance: the ticket would be worth nothing.
  // An offer needs no etcd: where it does not answer, no more is lost by it than this attempt to enrol.
  if ((await vault.guard.read(rid)).live) await forgetErased(vault, rid).catch(expectStoreAway);

  const ticket = {
    nonce: randomBytes(NONCE_LENGTH),
    expiresAtMs: BigInt(Math.floor(vault.clock.now() + vault.ticketLife)),
    changes: await vault.guard.changes(rid),
  };
  const asked = { rid, g, point, proofKey, ...ticket };
  const seed = vault.tickets.seed({ fleet, epoch, index, ...asked });
  try {
    const { signature, ...offered } = await token.offer({ ...asked, seed: seed.expose() });
    return create(OfferResponseSchema, { offer: { ticket: create(TicketSchema, { index, ...ticket, ...offered }), signature } });
  } finally {
    seed.wipe();
  }
}

function expectStoreAway(error: unknown): void {
  if (!isVaultError(error, 'STORE_UNAVAILABLE')) throw error;
}
