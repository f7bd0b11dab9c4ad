import { create } from '@bufbuild/protobuf';
import { sha256 } from '@noble/hashes/sha2.js';
import { type Bytes, utf8 } from '../../primitives/bytes.ts';
import { BodySchema, TicketSchema } from '../../proto/gen/backupvault/v1/record_pb.ts';
import type * as transcripts from '../../protocol/transcripts.ts';

/** Bytes with a name: as long as asked, the same for ever. */
export function bytesFor(name: string, length = 32): Bytes {
  const blocks = Array.from({ length: Math.ceil(length / 32) }, (_, i) => [...sha256(utf8(`${name} ${i}`))]);
  return Uint8Array.from(blocks.flat().slice(0, length));
}

/** In the form of a compressed point; not on the curve, which is no matter to a transcript. */
const pointFor = (name: string): Bytes => Uint8Array.of(2, ...bytesFor(name));

const view = { fleet: 'golden-fleet', epoch: 7, rid: bytesFor('rid'), g: bytesFor('g', 16), index: 2 };
const { index, ...name } = view;
const point = pointFor('P');
const clientKey = pointFor('E');
const bodyHash = bytesFor('body_hash');
const offer = { ...view, point, clientKey, publicKey: pointFor('K'), evaluated: pointFor('Z') };
const wrapped = {
  wrappedKey: bytesFor('wrapped key', 40),
  wrappedAuth: bytesFor('wrapped auth', 40),
  wrappedRelease: bytesFor('wrapped release', 40),
};
const { epoch: _, ...subRecordView } = view;

export const goldenBody = create(BodySchema, {
  version: 1,
  fleet: view.fleet,
  epoch: BigInt(view.epoch),
  rid: view.rid,
  g: view.g,
  threshold: 2,
  shares: [1, 2, 3].map((i) => ({
    index: i,
    publicKey: pointFor(`K ${i}`),
    evaluated: pointFor(`Z ${i}`),
    ticketHash: bytesFor(`ticket hash ${i}`),
    x: 10 * i,
    mask: bytesFor(`mask ${i}`),
  })),
  policy: { limit: 10, coolDownMs: 60_000n },
  ownerKey: bytesFor('owner key'),
  previous: bytesFor('previous', 16),
  payload: bytesFor('payload', 60),
  commit: bytesFor('commit'),
});

/** Arguments for every function of protocol/transcripts.ts: the type refuses a list that misses one. */
export const goldenArguments: { [Name in keyof typeof transcripts]: Parameters<(typeof transcripts)[Name]> } = {
  recordTranscript: [view.fleet, 'acme', 'account-1'],
  stretchTranscript: [view.fleet, view.rid],
  pointTranscript: [point],
  beginEnrolmentTranscript: [point, clientKey],
  ticketTranscript: [offer, { wrappedKey: wrapped.wrappedKey, expiresAtMs: 1_800_000_000_000n, changes: 3n }],
  ticketHashTranscript: [
    index,
    create(TicketSchema, { wrappedKey: wrapped.wrappedKey, expiresAtMs: 1_800_000_000_000n, changes: 3n, tag: bytesFor('tag') }),
  ],
  offerTranscript: [offer, bytesFor('ticket hash')],
  payloadDataTranscript: [goldenBody],
  commitTranscript: [bytesFor('s'), goldenBody],
  bodyTranscript: [goldenBody],
  sessionTranscript: [
    {
      ...view,
      suite: 'A',
      purpose: 'recover-release',
      statementHash: bytesFor('statement'),
      sessionKey: pointFor('S'),
      attempt: 3,
      point,
      clientKey,
      bodyHash,
    },
  ],
  maskTranscript: [view.rid, view.g, index],
  authTranscript: [view.rid, view.g, index],
  payloadTranscript: [view.rid, view.g],
  ownerTranscript: [view.rid],
  rehearsalTranscript: [view.rid],
  subRecordTranscript: [{ ...subRecordView, ...wrapped, bodyHash, enrolledAtMs: 1_700_000_000_000n }],
  replaceTranscript: [name, bytesFor('previous', 16), bodyHash],
  enrolledTranscript: [view, bodyHash],
  voteTranscript: [index, { ...name, bodyHash, attempt: 3, pointHash: bytesFor('h') }],
  receiptTranscript: [{ ...view, attempt: 3, limit: 10, point, evaluated: pointFor('Z'), bodyHash, enrolledAtMs: 1_700_000_000_000n }],
  proofTranscript: [view, 3, point, clientKey],
  eraseTranscript: [view.rid, view.g],
};
