import { create } from '@bufbuild/protobuf';
import { exactly } from '../../primitives/bytes.ts';
import { type ReleaseRequest, type ReleaseResponse, ReleaseResponseSchema } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import { G_LENGTH } from '../../protocol/body.ts';
import { parsePoint } from '../../protocol/point.ts';
import { pointTranscript, proofTranscript, sessionTranscript } from '../../protocol/transcripts.ts';
import { parseAccount } from './account.ts';
import { subRecordMac } from './sub-record.ts';
import type { Vault } from './vault.ts';

/**
 * Releases this replica's share to the session of whoever proves the code of an attempt that was counted here. A wrong proof
 * releases nothing and spends nothing: auth_i has 256 bits.
 */
export async function release(vault: Vault, request: ReleaseRequest): Promise<ReleaseResponse> {
  const { statement, self, token, guard } = vault;
  const { rid } = parseAccount(vault, request.account);
  const g = exactly(G_LENGTH, request.g, 'g');
  const point = parsePoint(request.point, 'point');
  const clientKey = parsePoint(request.clientKey, 'client_key');
  const proof = exactly(32, request.proof, 'proof');
  const { attempt } = request;
  const generation = await guard.counted(rid, g, attempt, pointTranscript(point).digest);

  const { index } = self;
  const name = { fleet: statement.fleet, epoch: statement.epoch, index, rid, g };
  const session = sessionTranscript({
    ...name,
    suite: self.sessionSuite,
    purpose: 'recover-release',
    statementHash: statement.hash,
    sessionKey: self.sessionKey,
    attempt,
    point,
    clientKey,
    bodyHash: generation.bodyHash,
  });
  const sealed = await token.release({
    epoch: Number(generation.body.epoch),
    mac: subRecordMac(vault, generation),
    wrappedAuth: generation.subRecord.wrappedAuth,
    proofTranscript: proofTranscript(name, attempt, point, clientKey).digest,
    proof,
    wrappedRelease: generation.subRecord.wrappedRelease,
    clientKey,
    sessionTranscript: session.digest,
  });
  return create(ReleaseResponseSchema, { release: { index, sealed } });
}
