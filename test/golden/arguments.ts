import { create } from '@bufbuild/protobuf';
import { sha256 } from '@noble/hashes/sha2.js';
import { type Bytes, utf8 } from '../../primitives/bytes.ts';
import { BodySchema } from '../../proto/gen/backupvault/v1/record_pb.ts';
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
const { epoch: _, ...lasting } = view;
const point = pointFor('P');
const bodyHash = bytesFor('body_hash');
const seed = bytesFor('seed');
const tags = [1, 2, 3].map((i) => bytesFor(`tag ${i}`));
const ticket = {
  ...view,
  point,
  proofKey: pointFor('A'),
  nonce: bytesFor('nonce', 16),
  expiresAtMs: 1_800_000_000_000n,
  changes: 3n,
};
const offer = { ...ticket, evaluated: bytesFor('Z'), releaseElement: bytesFor('F') };

export const goldenBody = create(BodySchema, {
  version: 1,
  fleet: view.fleet,
  epoch: BigInt(view.epoch),
  rid: view.rid,
  g: view.g,
  threshold: 2,
  shares: [1, 2, 3].map((i) => ({
    index: i,
    x: 10 * i,
    mask: bytesFor(`mask ${i}`),
    releaseMask: bytesFor(`release mask ${i}`),
  })),
  policy: { limit: 10, coolDownMs: 60_000n, holdMs: 86_400_000n },
  ownerKey: bytesFor('owner key'),
  previous: bytesFor('previous', 16),
  payload: bytesFor('payload', 60),
  proofKey: pointFor('A'),
  releaseBase: pointFor('T'),
  number: 5n,
  line: bytesFor('line', 16),
});

/** Arguments for every function of protocol/transcripts.ts: the type refuses a list that misses one. */
export const goldenArguments: { [Name in keyof typeof transcripts]: Parameters<(typeof transcripts)[Name]> } = {
  accountTranscript: [view.fleet, 'acme', 'account-1'],
  recordTranscript: [view.fleet, 'acme', bytesFor('account')],
  codeTranscript: [view.fleet, view.rid, bytesFor('code')],
  pointTranscript: [point],
  beginEnrolmentTranscript: [point, pointFor('A')],
  seedTranscript: [ticket],
  tweakTranscript: ['oprf', { ...lasting, seed }],
  ticketTranscript: [offer],
  offerTranscript: [offer, bytesFor('tag 2')],
  payloadDataTranscript: [goldenBody],
  bodyTranscript: [goldenBody],
  finishTranscript: [name, bodyHash, tags],
  maskTranscript: [view.rid, view.g, index],
  releaseMaskTranscript: [view.rid, view.g, index],
  proofKeyTranscript: [view.rid, view.g],
  payloadTranscript: [view.rid, view.g],
  ownerTranscript: [view.rid],
  rehearsalTranscript: [view.rid],
  blindTranscript: [view.rid, view.g, bytesFor('input')],
  baseTranscript: [view.rid, view.g, bytesFor('input')],
  spentTranscript: [view],
  erasedTranscript: [view],
  preparedTranscript: [view, bytesFor('previous', 16), bodyHash],
  subRecordTranscript: [{ ...lasting, bodyHash, seed, enrolledAtMs: 1_700_000_000_000n }],
  replaceTranscript: [name, bytesFor('previous', 16), bodyHash],
  enrolledTranscript: [view, bodyHash],
  voteTranscript: [index, { ...name, bodyHash, attempt: 3, pointHash: bytesFor('h') }],
  receiptTranscript: [
    { ...view, attempt: 3, limit: 10, used: 4, point, evaluated: bytesFor('Z'), bodyHash, enrolledAtMs: 1_700_000_000_000n },
  ],
  proofTranscript: [name, 3, point, pointFor('B')],
  releasedTranscript: [{ ...view, attempt: 3, point, blindedBase: pointFor('B'), released: bytesFor('released'), bodyHash }],
  heldTranscript: [{ ...view, attempt: 3, point, blindedBase: pointFor('B'), untilMs: 1_700_000_000_000n, bodyHash }],
  vetoTranscript: [{ fleet: name.fleet, rid: name.rid, g: name.g, attempt: 3, pointHash: bytesFor('h') }],
  approveTranscript: [{ fleet: name.fleet, rid: name.rid, g: name.g, attempt: 3, pointHash: bytesFor('h') }, pointFor('B')],
  decidedTranscript: [true, { ...view, attempt: 3, pointHash: bytesFor('h'), meeting: 2 }],
  eraseTranscript: [view.rid, view.g],
  listTranscript: [name.fleet, name.rid, 3n, bytesFor('list', 60)],
  listedTranscript: [view, 3n, bytesFor('owner key'), bytesFor('list')],
};
