import { create } from '@bufbuild/protobuf';
import { exactly } from '../../primitives/bytes.ts';
import { type ReleaseRequest, type ReleaseResponse, ReleaseResponseSchema } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import { G_LENGTH } from '../../protocol/body.ts';
import type { CompressedPoint } from '../../protocol/point.ts';
import { SIGNATURE_LENGTH } from '../../protocol/signature.ts';
import { pointTranscript } from '../../protocol/transcripts.ts';
import { parseAccount } from './account.ts';
import { parseCurvePoint } from './p256.ts';
import { storedGeneration } from './stored-generation.ts';
import type { Vault } from './vault.ts';

/**
 * Multiplies the blinded base by this replica's release key, for whoever proves the code of a point that was counted here. A wrong proof
 * releases nothing and spends nothing: what signs it is made of 256 bits that only the code opens.
 */
export async function release(vault: Vault, request: ReleaseRequest): Promise<ReleaseResponse> {
  const { self, token, guard } = vault;
  const { rid } = parseAccount(vault, request.account);
  const g = exactly(G_LENGTH, request.g, 'g');
  const point = parseCurvePoint(request.point, 'point');
  const blindedBase = parseCurvePoint(request.blindedBase, 'blinded_base');
  const proof = exactly(SIGNATURE_LENGTH, request.proof, 'proof');
  const { attempt } = request;
  const counted = await guard.counted(rid, g, pointTranscript(point).digest);

  const generation = storedGeneration(counted);
  const proofKey = counted.body.proofKey as CompressedPoint; // prepare checked it
  const answer = await token.release({ generation, proofKey, attempt, point, blindedBase, proof });
  return create(ReleaseResponseSchema, { release: { index: self.index, ...answer } });
}
