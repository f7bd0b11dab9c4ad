import { type Bytes, toHex } from '../primitives/bytes.ts';
import { VaultError } from '../primitives/errors.ts';
import type { Ticket } from '../proto/gen/backupvault/v1/record_pb.ts';
import type { Offer } from '../proto/gen/backupvault/v1/vault_pb.ts';
import { expectSigned } from '../protocol/signature.ts';
import { type Replica, replicaOf } from '../protocol/statement.ts';
import { offerTranscript, ticketHashTranscript } from '../protocol/transcripts.ts';
import { expectEnough, verifyEach } from './claims.ts';
import { type CurvePoint, parseCurvePoint } from './oprf.ts';
import type { TrustedStatement } from './trust.ts';

/** What the client asked for, by its own account and not by the reply's. */
export interface OfferRequest {
  readonly statement: TrustedStatement;
  readonly rid: Uint8Array;
  readonly g: Uint8Array;
  readonly point: Uint8Array;
  readonly clientKey: Uint8Array;
}

export interface VerifiedOffer {
  readonly index: number;
  readonly replica: Replica;
  readonly publicKey: CurvePoint;
  readonly evaluated: CurvePoint;
  readonly ticket: Ticket;
  readonly ticketHash: Bytes;
}

/** At least t offers for exactly this request. Throws REPLY_UNTRUSTED, NOT_ENOUGH_REPLICAS. */
export async function verifyOffers(offers: readonly Offer[], request: OfferRequest): Promise<readonly VerifiedOffer[]> {
  const claims = await verifyEach(offers, (offer) => verifyOffer(offer, request));
  expectEnough(claims, request.statement.threshold, 'offers');
  // A replica that passes off another's key as its own would stand for two shares and be counted as one.
  if (new Set(claims.valid.map(({ publicKey }) => toHex(publicKey))).size !== claims.valid.length)
    throw new VaultError('REPLY_UNTRUSTED', 'Two replicas offer the same key.');
  return claims.valid;
}

/** Throws REPLY_UNTRUSTED. */
export function verifyOffer(offer: Offer, { statement, rid, g, point, clientKey }: OfferRequest): VerifiedOffer {
  const { index, ticket } = offer;
  const replica = replicaOf(statement, index);
  if (!ticket) throw new VaultError('REPLY_UNTRUSTED', `The offer of replica ${index} has no ticket.`);
  const publicKey = parseCurvePoint(offer.publicKey, 'offer.public_key');
  const evaluated = parseCurvePoint(offer.evaluated, 'offer.evaluated');
  const ticketHash = ticketHashTranscript(index, ticket).digest;
  const { fleet, epoch } = statement;
  const transcript = offerTranscript({ fleet, epoch, index, rid, g, point, clientKey, publicKey, evaluated }, ticketHash);
  expectSigned(replica, transcript, offer.signature, 'The offer');
  return { index, replica, publicKey, evaluated, ticket, ticketHash };
}
