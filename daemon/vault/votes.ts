import type { Brand } from '../../primitives/brand.ts';
import { VaultError } from '../../primitives/errors.ts';
import type { Vote } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import type { Body } from '../../protocol/body.ts';
import { termsOf } from '../../protocol/terms.ts';
import { type AttemptName, voteTranscript } from '../../protocol/transcripts.ts';
import { isHolder } from './evidence.ts';
import { isSigned } from './p256.ts';
import type { Vault } from './vault.ts';

/** An attempt that t holders of the record counted in their guards. Nothing is evaluated without one, and only `verifyVotes` makes it. */
export type VotedAttempt = Brand<AttemptName, 'VotedAttempt'>;

/** Throws VOTES_REFUSED. */
export function verifyVotes({ statement, receiptKeys }: Vault, name: AttemptName, votes: readonly Vote[], body: Body): VotedAttempt {
  const { threshold } = termsOf(statement, body.epoch);
  const voters = new Set<number>();
  for (const { index, signature } of votes) {
    const key = receiptKeys.get(index);
    if (!key || !isHolder(statement, body, index)) throw refused(`replica ${index} holds no share of the record`);
    if (!isSigned(voteTranscript(index, name), signature, key)) throw refused(`the vote of replica ${index} is not for this attempt`);
    voters.add(index);
    if (voters.size === threshold) return name as VotedAttempt;
  }
  throw refused(`${voters.size} replicas voted, ${threshold} must`);
}

const refused = (why: string) => new VaultError('VOTES_REFUSED', `The attempt is not evaluated: ${why}.`);
