import { create } from '@bufbuild/protobuf';
import { multiply, parseCurvePoint, randomScalar } from '../../../client/curve.ts';
import { signWithProofKey } from '../../../client/derive.ts';
import { type Blinded, blind } from '../../../client/oprf.ts';
import type { Bytes } from '../../../primitives/bytes.ts';
import {
  type EvaluateRequest,
  EvaluateRequestSchema,
  type ReleaseRequest,
  ReleaseRequestSchema,
  type VoteRequest,
  VoteRequestSchema,
} from '../../../proto/gen/backupvault/v1/replica_pb.ts';
import { pointTranscript, proofTranscript } from '../../../protocol/transcripts.ts';
import { type Draft, input } from './draft.ts';
import type { Vote, World } from './world.ts';

/** A blinded code with the frontend's grant for it: what a coordinator holds. */
export interface Guess {
  readonly blinded: Blinded;
  readonly grant: string;
}

export async function guess(world: World, { file, recordId, rid, g }: Draft, code: string): Promise<Guess> {
  const blinded = blind(input(world, rid, code));
  const authorises = pointTranscript(blinded.point).digest;
  return { blinded, grant: await world.grant({ operation: 'begin-recovery', recordId, g, authorises }, file) };
}

/** What a coordinator sends to count a guess as attempt k. */
export function voteRequest({ file, recordId, g, bodyHash, body }: Draft, { blinded, grant }: Guess, attempt: number): VoteRequest {
  const account = { tenant: file.tenant, recordId };
  return create(VoteRequestSchema, { account, g, bodyHash, attempt, point: blinded.point, grant, epoch: body.epoch });
}

export async function votes(world: World, request: VoteRequest, indices: readonly number[]): Promise<Vote[]> {
  const responses = await Promise.all(indices.map((index) => world.peer(index).calls.vote(request)));
  return responses.map(({ vote }) => vote as Vote);
}

export const evaluateRequest = ({ $typeName: _type, epoch: _epoch, ...voted }: VoteRequest, collected: readonly Vote[]): EvaluateRequest =>
  create(EvaluateRequestSchema, { ...voted, votes: [...collected] });

/** What a coordinator sends for a device that knows the code: to every holder the same. */
export function releaseRequest(world: World, draft: Draft, { blinded: { point } }: Guess, attempt: number): ReleaseRequest {
  const { file, recordId, g, body } = draft;
  const blindedBase = multiply(parseCurvePoint(body.releaseBase, 'T'), randomScalar());
  const proof = proofBy(world, draft, attempt, point, blindedBase);
  return create(ReleaseRequestSchema, { account: { tenant: file.tenant, recordId }, g, attempt, point, blindedBase, proof });
}

/** By the private key of A, for whatever values. */
export function proofBy(
  { statement: { fleet, epoch } }: { readonly statement: { readonly fleet: string; readonly epoch: number } },
  { s, rid, g }: Pick<Draft, 's' | 'rid' | 'g'>,
  attempt: number,
  point: Uint8Array,
  blindedBase: Uint8Array,
): Bytes {
  return signWithProofKey(s.expose(), rid, g, proofTranscript({ fleet, epoch, rid, g }, attempt, point, blindedBase));
}
