import { create } from '@bufbuild/protobuf';
import type { Millis } from '../../primitives/brand.ts';
import { constantTimeEqual, exactly } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import { type ReleaseRequest, type ReleaseResponse, ReleaseResponseSchema } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import { type Body, G_LENGTH, type HashedBody } from '../../protocol/body.ts';
import type { CompressedPoint } from '../../protocol/point.ts';
import { SIGNATURE_LENGTH } from '../../protocol/signature.ts';
import { heldTranscript, pointTranscript } from '../../protocol/transcripts.ts';
import type { Decided } from '../ledger/guarded.ts';
import { parseAccount } from './account.ts';
import { isSaidByOwner } from './ownership.ts';
import { parseCurvePoint } from './p256.ts';
import { storedGeneration } from './stored-generation.ts';
import type { Vault } from './vault.ts';

/**
 * Multiplies the blinded base by this replica's release key, for whoever proves the code of a point that was counted here. A wrong proof
 * releases nothing and spends nothing: what signs it is made of 256 bits that only the code opens. Where the record has a hold, a right proof begins it, and this
 * replica keeps its answer back until it is over, by its own clock, or its owner says that it may go. `elsewhere`: what the owner said of attempts to other holders.
 * Throws VETOED, PROOF_CONFLICT, NOT_ENOUGH_REPLICAS where too few others say.
 */
export async function release(vault: Vault, request: ReleaseRequest, elsewhere: Elsewhere): Promise<ReleaseResponse> {
  const { self, token, guard } = vault;
  const { rid } = parseAccount(vault, request.account);
  const g = exactly(G_LENGTH, request.g, 'g');
  const point = parseCurvePoint(request.point, 'point');
  const blindedBase = parseCurvePoint(request.blindedBase, 'blinded_base');
  const proof = exactly(SIGNATURE_LENGTH, request.proof, 'proof');
  const { attempt } = request;
  const pointHash = pointTranscript(point).digest;
  const { generation: counted, number } = await guard.counted(rid, g, pointHash);
  const { limit } = counted.body.policy;
  if (attempt < 1 || attempt > limit) throw new VaultError('MALFORMED', `attempt must be 1 to ${limit}.`);

  const generation = storedGeneration(counted);
  const proofKey = counted.body.proofKey as CompressedPoint; // prepare checked it
  const proven = { generation, proofKey, attempt, point, blindedBase, proof };
  if (counted.body.policy.holdMs > 0n) {
    await token.verify(proven);
    const until = await guard.prove(rid, g, pointHash, { attempt: number, blindedBase }, vault.clock.now()); // the owner is told the number that is counted
    if (until) return create(ReleaseResponseSchema, { held: await heldUntil(vault, counted, proven, until) });
    if (until === 0) await letGo(vault, counted.body, pointHash, elsewhere);
  }
  const answer = await token.release(proven);
  return create(ReleaseResponseSchema, { release: { index: self.index, ...answer } });
}

/** Of t−1 others, so that t know of it: a veto that m−t+1 holders keep to is known to one of them. */
export type Elsewhere = (body: Body) => Promise<readonly Decided[]>;

/** A veto that another holder knows is one here, too. Throws VETOED. */
async function letGo({ statement, guard }: Vault, body: Body, pointHash: Uint8Array, elsewhere: Elsewhere): Promise<void> {
  const { rid, g } = body;
  const said = await elsewhere(body);
  const veto = said.find(
    (each) => each.isVeto && constantTimeEqual(each.pointHash, pointHash) && isSaidByOwner(statement.fleet, body, each),
  );
  if (veto) await guard.decide(rid, g, pointHash, veto);
  await guard.letGo(rid, g, pointHash);
}

type Proven = Pick<Parameters<Vault['token']['release']>[0], 'attempt' | 'point' | 'blindedBase'>;

async function heldUntil({ statement, self, token }: Vault, { body, bodyHash }: HashedBody, proven: Proven, until: Millis) {
  const { fleet, epoch } = statement;
  const { index } = self;
  const { rid, g } = body;
  const { attempt, point, blindedBase } = proven;
  const untilMs = BigInt(Math.ceil(until));
  const signature = await token.sign(
    heldTranscript({ fleet, epoch, index, rid, g, attempt, point, blindedBase, untilMs, bodyHash }).digest,
  );
  return { index, untilMs, signature };
}
