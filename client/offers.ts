import { toHex } from '../primitives/bytes.ts';
import { VaultError } from '../primitives/errors.ts';
import type { Offer } from '../proto/gen/backupvault/v1/vault_pb.ts';
import { offerFields, parseTicket, type Ticket } from '../protocol/offer.ts';
import { expectSigned } from '../protocol/signature.ts';
import { replicaOf } from '../protocol/statement.ts';
import { offerTranscript } from '../protocol/transcripts.ts';
import { expectEnough, verifyEach } from './claims.ts';
import { type CurveX, parseCurveX } from './curve.ts';
import type { TrustedStatement } from './trust.ts';

/** What the client asked for, by its own account and not by the reply's. */
export interface OfferRequest {
  readonly statement: TrustedStatement;
  readonly rid: Uint8Array;
  readonly g: Uint8Array;
  /** P */
  readonly point: Uint8Array;
  /** A */
  readonly proofKey: Uint8Array;
}

export interface VerifiedOffer {
  readonly index: number;
  /** Z_i */
  readonly evaluated: CurveX;
  /** F_i */
  readonly releaseElement: CurveX;
  readonly ticket: Ticket;
}

/** At least t offers for exactly this request. Throws REPLY_UNTRUSTED, NOT_ENOUGH_REPLICAS. */
export async function verifyOffers(offers: readonly Offer[], request: OfferRequest): Promise<readonly VerifiedOffer[]> {
  const claims = await verifyEach(offers, (offer) => verifyOffer(offer, request));
  expectEnough(claims, request.statement.threshold, 'offers');
  // A replica that passes off another's element as its own would stand for two shares and be counted as one.
  for (const element of ['evaluated', 'releaseElement'] as const)
    if (new Set(claims.valid.map((offer) => toHex(offer[element]))).size !== claims.valid.length)
      throw new VaultError('REPLY_UNTRUSTED', 'Two replicas offer the same element.');
  return claims.valid;
}

/** Throws REPLY_UNTRUSTED, MALFORMED. */
export function verifyOffer(offer: Offer, { statement, rid, g, point, proofKey }: OfferRequest): VerifiedOffer {
  const ticket = parseTicket(offer.ticket);
  const { index } = ticket;
  const replica = replicaOf(statement, index);
  const evaluated = parseCurveX(ticket.evaluated, 'ticket.evaluated');
  const releaseElement = parseCurveX(ticket.releaseElement, 'ticket.release_element');
  const { fleet, epoch } = statement;
  const transcript = offerTranscript(offerFields({ fleet, epoch, rid, g, point, proofKey }, ticket), ticket.tag);
  expectSigned(replica, transcript, offer.signature, 'The offer');
  return { index, evaluated, releaseElement, ticket };
}
