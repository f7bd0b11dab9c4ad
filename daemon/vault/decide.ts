import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { constantTimeEqual, exactly, fromHex } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import type { Hold } from '../../proto/gen/backupvault/v1/record_pb.ts';
import {
  type DecidedSchema,
  type DecideRequest,
  type DecideResponse,
  DecideResponseSchema,
  type HoldsRequest,
  type HoldsResponse,
  HoldsResponseSchema,
} from '../../proto/gen/backupvault/v1/replica_pb.ts';
import { G_LENGTH, HASH_LENGTH } from '../../protocol/body.ts';
import { decidedTranscript } from '../../protocol/transcripts.ts';
import { unknownGeneration } from '../ledger/counting.ts';
import { decisionIn, endOf, stateOf } from '../ledger/hold.ts';
import { expectSameEpoch } from './account.ts';
import { isSaidByOwner } from './ownership.ts';
import { parseCurvePoint } from './p256.ts';
import type { Vault } from './vault.ts';

/**
 * The word of the record's owner about an attempt, be it held here already or not: a replica that hears of the proof later keeps to it. Nobody else's counts, and no
 * grant is needed. Signed that this replica had not released; no answer where it had, or may have. Throws OWNER_REFUSED, GENERATION_UNKNOWN, VETOED,
 * PROOF_CONFLICT, MALFORMED.
 */
export async function decide(vault: Vault, request: DecideRequest): Promise<DecideResponse> {
  expectSameEpoch(vault, request.epoch);
  const { statement, self, guard, token } = vault;
  const { attempt, veto: isVeto, signature } = request;
  const blindedBase = isVeto ? exactly(0, request.blindedBase, 'blinded_base') : parseCurvePoint(request.blindedBase, 'blinded_base');
  const rid = exactly(HASH_LENGTH, request.rid, 'rid');
  const g = exactly(G_LENGTH, request.g, 'g');
  const pointHash = exactly(HASH_LENGTH, request.pointHash, 'point_hash');
  const { live } = await guard.read(rid);
  if (!live || !constantTimeEqual(live.body.g, g)) throw unknownGeneration();
  const { limit } = live.body.policy;
  if (attempt < 1 || attempt > limit) throw new VaultError('MALFORMED', `attempt must be 1 to ${limit}.`);
  const { fleet, epoch } = statement;
  if (!isSaidByOwner(fleet, live.body, { attempt, pointHash, isVeto, signature, blindedBase }))
    throw new VaultError('OWNER_REFUSED', 'Only the owner key of the record decides about an attempt that is held.');
  if (!(await guard.decide(rid, g, pointHash, { attempt, isVeto, signature, blindedBase }))) return create(DecideResponseSchema);
  const { index } = self;
  const meeting = live.body.shares.length - live.body.threshold + 1;
  const said = await token.sign(decidedTranscript(isVeto, { fleet, epoch, index, rid, g, attempt, pointHash, meeting }).digest);
  return create(DecideResponseSchema, { decided: { index, meeting, signature: said } });
}

/** A proof, or its owner's word. */
const isNews = (hold: Hold): boolean => hold.beganAtMs > 0n || decisionIn(hold) !== undefined;

/** What became of proofs here. Reads only. */
export async function holds({ guard, self }: Vault, request: HoldsRequest): Promise<HoldsResponse> {
  const rid = exactly(HASH_LENGTH, request.rid, 'rid');
  const { live } = await guard.read(rid);
  if (!live || !constantTimeEqual(live.body.g, request.g) || live.body.policy.holdMs === 0n) return create(HoldsResponseSchema);
  const length = Number(live.body.policy.holdMs);
  const known = [...(await guard.holds(rid))].filter(([, hold]) => isNews(hold));
  const held = known.map(([pointHash, hold]) => ({
    index: self.index,
    attempt: hold.attempt,
    pointHash: fromHex(pointHash, 'a point’s hash'),
    untilMs: BigInt(Math.ceil(endOf(hold, length))),
    state: stateOf(hold),
    blindedBase: hold.blindedBase,
  }));
  return create(HoldsResponseSchema, { held, decided: decidedIn(known) });
}

/** What the owner said of attempts, with the signatures that show it. */
export const decidedIn = (holds: Iterable<readonly [pointHash: string, Hold]>): MessageInitShape<typeof DecidedSchema>[] =>
  [...holds].flatMap(([pointHash, hold]) => {
    const decision = decisionIn(hold);
    if (!decision) return [];
    const { attempt, isVeto, signature, blindedBase } = decision;
    return [{ pointHash: fromHex(pointHash, 'a point’s hash'), attempt, veto: isVeto, signature, blindedBase }];
  });
