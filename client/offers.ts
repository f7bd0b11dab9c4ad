import { create } from '@bufbuild/protobuf';
import { toHex } from '../primitives/bytes.ts';
import { isVaultError, VaultError } from '../primitives/errors.ts';
import {
  type BeginEnrollmentRequest,
  BeginEnrollmentRequestSchema,
  type BeginEnrollmentResponse,
  type Offer,
} from '../proto/gen/backupvault/v1/vault_pb.ts';
import { offerFields, parseTicket, type Ticket } from '../protocol/offer.ts';
import { expectSigned } from '../protocol/signature.ts';
import { replicaOf } from '../protocol/statement.ts';
import { offerTranscript } from '../protocol/transcripts.ts';
import { type Claims, expectEnough, together, verifyEach } from './claims.ts';
import { type CurveX, parseCurveX } from './curve.ts';
import { insistInTurn, isUntrusted } from './insist.ts';
import type { TrustedStatement } from './trust.ts';
import type { Vault } from './vault.ts';

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

/**
 * The offers of all replicas that can be heard, at least t. A coordinator that leaves honest ones out makes a record that survives less, and
 * nothing shows it. So where some are missing, t−1 others are asked for the same, all at once: of t coordinators one is honest. A replica that
 * is down costs one round trip more, and no more waiting than that. Each offer has a nonce of its own and stands for itself, so those of
 * several replies go together. Throws REPLY_UNTRUSTED, NOT_ENOUGH_REPLICAS, and what the first coordinator says.
 */
export async function gatherOffers(
  { transport, clock }: Pick<Vault, 'transport' | 'clock'>,
  message: BeginEnrollmentRequest,
  request: OfferRequest,
): Promise<readonly VerifiedOffer[]> {
  const { replicas, threshold } = request.statement;
  const send = (turn: number) => transport.beginEnrollment(create(BeginEnrollmentRequestSchema, { ...message, turn }));
  const verified = ({ offers }: BeginEnrollmentResponse) => verifyEach(offers, (offer) => verifyOffer(offer, request));
  const read = async (reply: BeginEnrollmentResponse) => {
    const first = await verified(reply);
    if (first.valid.length === replicas.length) return expectUsable(first, request);
    const others = Array.from({ length: threshold - 1 }, (_, i) =>
      send(i + 1)
        .then(verified)
        .catch(noOffers),
    );
    return expectUsable(together([first, ...(await Promise.all(others))]), request);
  };
  return insistInTurn(clock, { replicas: replicas.length, send, read, isUntrue: isUntrusted });
}

/** What one coordinator more is asked for is not needed. */
function noOffers(error: unknown): Claims<VerifiedOffer> {
  if (!isVaultError(error)) throw error;
  return { valid: [], refused: 0 };
}

/** Throws REPLY_UNTRUSTED, NOT_ENOUGH_REPLICAS. */
function expectUsable(claims: Claims<VerifiedOffer>, { statement }: OfferRequest): readonly VerifiedOffer[] {
  expectEnough(claims, statement.threshold, 'offers');
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
