import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { concat } from '../primitives/bytes.ts';
import { type Ticket, TicketSchema } from '../proto/gen/backupvault/v1/record_pb.ts';
import { bytesFor } from '../test/golden/arguments.ts';
import { offerFields, parseTicket } from './offer.ts';

const fields = {
  index: 2,
  evaluated: bytesFor('Z'),
  releaseElement: bytesFor('F'),
  nonce: bytesFor('nonce', 16),
  expiresAtMs: 5n,
  changes: 3n,
};
const ticketWith = (change: Partial<Ticket>) => create(TicketSchema, { ...fields, tag: bytesFor('tag'), ...change });

test('what a replica offers is what its ticket says, for what it was asked', () => {
  const asked = { fleet: 'f', epoch: 1, rid: bytesFor('rid'), g: bytesFor('g', 16), point: bytesFor('P', 33), proofKey: bytesFor('A', 33) };
  expect(offerFields(asked, parseTicket(ticketWith({})))).toEqual({ ...asked, ...fields });
});

test.each<[string, Ticket | undefined]>([
  ['that is missing', undefined],
  ['of no replica', ticketWith({ index: 0 })],
  ['of a replica that no fleet has', ticketWith({ index: 100 })],
  ['with a Z of 31 bytes', ticketWith({ evaluated: bytesFor('Z', 31) })],
  ['with a Z with its sign', ticketWith({ evaluated: bytesFor('Z', 33) })],
  ['with an F with its sign', ticketWith({ releaseElement: bytesFor('F', 33) })],
  ['with a short nonce', ticketWith({ nonce: bytesFor('nonce', 15) })],
  ['with a long tag', ticketWith({ tag: bytesFor('tag', 33) })],
  ['with a field that this version does not know', withUnknownField(ticketWith({}))],
])('a ticket %s is refused', (_, ticket) => {
  expect(() => parseTicket(ticket)).toThrow(expect.objectContaining({ code: 'MALFORMED' }));
});

function withUnknownField(ticket: Ticket): Ticket {
  return fromBinary(TicketSchema, concat(toBinary(TicketSchema, ticket), Uint8Array.of(0x78, 1))); // field 15
}
