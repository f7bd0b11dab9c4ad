import { create } from '@bufbuild/protobuf';
import { exactly } from '../../primitives/bytes.ts';
import { type Ticket, TicketSchema } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { type OfferRequest, type OfferResponse, OfferResponseSchema } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import { G_LENGTH } from '../../protocol/body.ts';
import { beginEnrolmentTranscript, offerTranscript, ticketHashTranscript, ticketTranscript } from '../../protocol/transcripts.ts';
import { parseAccount } from './account.ts';
import { parseBlindedElement, parseCurvePoint } from './curve-point.ts';
import { forgetErased } from './forget.ts';
import type { Vault } from './vault.ts';

/** Makes a fresh OPRF key in the token, evaluates P with it, and hands the wrapped key to the client in a ticket. Stores nothing. */
export async function offer(vault: Vault, request: OfferRequest): Promise<OfferResponse> {
  const { statement, token } = vault;
  const { index } = vault.self;
  const { tenant, recordId, rid } = parseAccount(vault, request.account);
  const g = exactly(G_LENGTH, request.g, 'g');
  const point = parseBlindedElement(request.point);
  const clientKey = parseCurvePoint(request.clientKey, 'client_key');
  const authorises = beginEnrolmentTranscript(point, clientKey).digest;
  await vault.grants.verify(request.grant, { fleet: statement.fleet, tenant, operation: 'begin-enrolment', recordId, g, authorises });

  // What this replica missed shall not happen between the offer and its acceptance: the ticket would be worth nothing.
  if ((await vault.guard.read(rid)).live) await forgetErased(vault, rid);

  const { publicKey, wrappedKey, evaluated } = await token.newOprfKey(point);
  const fields = { fleet: statement.fleet, epoch: statement.epoch, index, rid, g, point, clientKey, publicKey, evaluated };
  const expiresAtMs = BigInt(Math.floor(vault.clock.now() + vault.ticketLife));
  const untagged = { wrappedKey, expiresAtMs, changes: await vault.guard.changes(rid) };
  const tag = await token.mac(ticketTranscript(fields, untagged).digest);
  const ticket: Ticket = create(TicketSchema, { ...untagged, tag });
  const signature = await token.sign(offerTranscript(fields, ticketHashTranscript(index, ticket).digest).digest);
  return create(OfferResponseSchema, { offer: { index, publicKey, evaluated, ticket, signature } });
}
