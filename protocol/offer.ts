import type { Brand } from '../primitives/brand.ts';
import { exactly } from '../primitives/bytes.ts';
import { VaultError } from '../primitives/errors.ts';
import type * as pb from '../proto/gen/backupvault/v1/record_pb.ts';
import { HASH_LENGTH, MAX_INDEX } from './body.ts';
import { refuseUnknownFields } from './message.ts';
import type { OfferFields, TicketFields } from './transcripts.ts';
import { parseX, type XCoordinate } from './x-coordinate.ts';

export const NONCE_LENGTH = 16;
/** Of the name of a ticket secret. */
export const SECRET_NAME_LENGTH = 8;

/** A ticket whose every length was checked. Whether it holds is for the replica that made it to say. */
export type Ticket = Brand<pb.Ticket & { readonly evaluated: XCoordinate; readonly releaseElement: XCoordinate }, 'Ticket'>;

/** Throws MALFORMED. */
export function parseTicket(ticket: pb.Ticket | undefined): Ticket {
  if (!ticket) throw new VaultError('MALFORMED', 'A ticket is missing.');
  refuseUnknownFields(ticket, 'ticket');
  const { index } = ticket;
  if (index < 1 || index > MAX_INDEX) throw new VaultError('MALFORMED', `ticket.index must be 1 to ${MAX_INDEX}.`);
  parseX(ticket.evaluated, 'ticket.evaluated');
  parseX(ticket.releaseElement, 'ticket.release_element');
  exactly(NONCE_LENGTH, ticket.nonce, 'ticket.nonce');
  exactly(HASH_LENGTH, ticket.tag, 'ticket.tag');
  return ticket as Ticket;
}

/** What a replica offers, for what it was asked. */
export const offerFields = (asked: Omit<TicketFields, keyof pb.Ticket>, ticket: Ticket): OfferFields => ({
  ...asked,
  index: ticket.index,
  evaluated: ticket.evaluated,
  releaseElement: ticket.releaseElement,
  nonce: ticket.nonce,
  expiresAtMs: ticket.expiresAtMs,
  changes: ticket.changes,
});
