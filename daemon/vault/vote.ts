import { create } from '@bufbuild/protobuf';
import { constantTimeEqual, exactly } from '../../primitives/bytes.ts';
import {
  type EvaluateRequest,
  type VoteRequest,
  type VoteResponse,
  VoteResponseSchema,
} from '../../proto/gen/backupvault/v1/replica_pb.ts';
import { G_LENGTH, HASH_LENGTH, MAX_ATTEMPTS } from '../../protocol/body.ts';
import type { CompressedPoint } from '../../protocol/point.ts';
import { type AttemptName, pointTranscript, voteTranscript } from '../../protocol/transcripts.ts';
import { faultPoint } from '../fault-point.ts';
import { missing, type Paid } from '../ledger/counting.ts';
import { parseGrantedPoint } from '../ledger/guarded.ts';
import { type Account, expectSameEpoch, parseAccount } from './account.ts';
import { parseCurvePoint } from './p256.ts';
import { promoteCommitted } from './promote.ts';
import { expectServed } from './served.ts';
import { shownPoints } from './shown.ts';
import type { Vault } from './vault.ts';

/** VOTE: counts the attempt in this replica's own guard, durably, and signs that it did. A dry one asks whether it would, and changes nothing. */
export async function vote(vault: Vault, request: VoteRequest): Promise<VoteResponse> {
  expectSameEpoch(vault, request.epoch);
  const { name } = await parseAttempt(vault, request);
  await expectServed(vault, name.rid, name.g);
  if (request.dry) {
    await expectWouldVote(vault, name, request);
    return create(VoteResponseSchema, {});
  }
  await promoteIfNotLive(vault, name, request);
  await vault.guard.count(name, await paidBy(vault, name, request), vault.clock.now());
  const { index } = vault.self;
  const signature = await vault.token.sign(voteTranscript(index, name).digest);
  faultPoint('before-vote-reply');
  return create(VoteResponseSchema, { vote: { index, signature } });
}

/** Throws as `vote` does, and changes nothing, but that a replica that missed the end of an enrolment makes up for it. */
export async function expectWouldVote(vault: Vault, name: AttemptName, request: Paying & Pick<VoteRequest, 'prepared'>): Promise<void> {
  await promoteIfNotLive(vault, name, request);
  await vault.guard.expectCountable(name, await paidBy(vault, name, request), vault.clock.now());
}

/** An attempt as a tenant's frontend authorised it. Throws MALFORMED, FOREIGN_TENANT, GRANT_REFUSED, GRANT_EXPIRED. */
export async function parseAttempt(
  vault: Vault,
  request: VoteRequest | EvaluateRequest,
): Promise<{ name: AttemptName; point: CompressedPoint }> {
  const { fleet, epoch } = vault.statement;
  const account = parseAccount(vault, request.account);
  const bodyHash = exactly(HASH_LENGTH, request.bodyHash, 'body_hash');
  const { g, point, pointHash } = await expectGrantedPoint(vault, account, request);
  return { name: { fleet, epoch, rid: account.rid, g, bodyHash, attempt: request.attempt, pointHash }, point };
}

/** The point that a recovery begins with. Throws MALFORMED, GRANT_REFUSED, GRANT_EXPIRED. */
export async function expectGrantedPoint(
  { statement: { fleet }, grants }: Vault,
  account: Account,
  request: Pick<VoteRequest, 'g' | 'point' | 'grant'>,
) {
  const g = exactly(G_LENGTH, request.g, 'g');
  const point = parseCurvePoint(request.point, 'point');
  const pointHash = pointTranscript(point).digest;
  await grants.verify(request.grant, { ...account, fleet, operation: 'begin-recovery', g, authorises: pointHash });
  return { g, point, pointHash };
}

type Paying = Pick<VoteRequest, 'grant' | 'shown'>;

/**
 * What pays for the attempt, and shows those before it that this guard missed: a point that the tenant granted an attempt for uses up a
 * number, whether the grant has expired or not. Whoever numbers attempts can then leave none out, and nobody's receipt shows too few. What is
 * shown without a grant is passed over.
 */
export async function paidBy({ guard, grants }: Vault, name: AttemptName, { grant, shown }: Paying): Promise<Paid> {
  const { fleet, rid, g } = name;
  if (missing(await guard.read(rid), name) === 0) return { grant, shown: [] };
  return { grant, shown: await shownPoints(grants, { fleet, rid, g }, shown.slice(0, MAX_ATTEMPTS).map(parseGrantedPoint)) };
}

/** A replica that missed the end of an enrolment makes up for it here. Where it cannot, the guard says what is missing. */
async function promoteIfNotLive(vault: Vault, { rid, g }: AttemptName, request: Pick<VoteRequest, 'prepared'>): Promise<void> {
  const { live, prepared } = await vault.guard.read(rid);
  if (live && constantTimeEqual(live.body.g, g)) return;
  if (prepared.some(({ body }) => constantTimeEqual(body.g, g))) await promoteCommitted(vault, rid, g, request.prepared);
}
