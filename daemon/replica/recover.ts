import { create } from '@bufbuild/protobuf';
import type { Millis } from '../../primitives/brand.ts';
import { constantTimeEqual, exactly } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import { EvaluateRequestSchema, ReleaseRequestSchema, type Vote, VoteRequestSchema } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import type { BeginRecoveryRequest, Conflict, FinishRecoveryRequest } from '../../proto/gen/backupvault/v1/vault_pb.ts';
import { G_LENGTH, type HashedBody } from '../../protocol/body.ts';
import { meeting, termsOf } from '../../protocol/terms.ts';
import { conflictTranscript, receiptTranscript, releasedTranscript, voteTranscript } from '../../protocol/transcripts.ts';
import type { Account } from '../vault/account.ts';
import { isHolder } from '../vault/evidence.ts';
import { parseCurveX } from '../vault/p256.ts';
import { expectServed } from '../vault/served.ts';
import { expectGrantedPoint } from '../vault/vote.ts';
import { bodyWithHash, expectOwn, expectSigned, expectWellFormed } from './believed.ts';
import { type Answers, askAll, expectEnough, isPassing } from './fan-out.ts';
import type { Fleet } from './fleet.ts';
import type { Participant } from './participant.ts';

const EVALUATE_GRACE: Millis = 150; // more answers than t let the client see past a wrong one
const RELEASE_GRACE: Millis = 150;

/** Spends an attempt in etcd, has t guards count it, then asks every holder to evaluate. A point that was paid for passes the first two freely. */
export async function beginRecovery(fleet: Fleet, account: Account, request: BeginRecoveryRequest) {
  const { vault, participants, events } = fleet;
  const { statement, clock } = vault;
  const { g, point, pointHash } = await expectGrantedPoint(vault, account, request);
  await expectServed(vault, account.rid, g);
  const { grant } = request;
  const isListed = (of: bigint) => void termsOf(statement, of);
  const { attempt, lower: shown, bodyHash } = await vault.register.spend(account.rid, g, { pointHash, grant }, isListed);
  const { body } = await bodyWithHash(fleet, account.rid, bodyHash);
  const terms = termsOf(statement, body.epoch);
  const { threshold: enough } = terms;
  const { fleet: name, epoch } = statement;
  const named = { fleet: name, epoch, rid: account.rid, g, bodyHash, attempt };
  const paid = { account, g, bodyHash, attempt, point, grant, shown: [...shown] };
  const holders = participants.filter(({ index }) => isHolder(statement, body, index));

  const toVote = create(VoteRequestSchema, { ...paid, epoch: BigInt(statement.epoch) });
  const askForVote = async ({ index, calls }: Participant) => {
    const { vote, conflict } = await calls.vote(toVote);
    if (conflict) {
      const { other, signature } = expectOwn(fleet, conflict, index);
      expectSigned(fleet, index, conflictTranscript(index, { ...named, pointHash }, other), signature, 'a conflict');
      conflicts.push(conflict);
      throw new VaultError('ATTEMPT_CONFLICT', `Replica ${index} counted another point as attempt ${attempt}.`);
    }
    const { signature } = expectOwn(fleet, vote, index);
    expectSigned(fleet, index, voteTranscript(index, { ...named, pointHash }), signature, 'its vote');
    return vote as Vote;
  };
  const conflicts: Conflict[] = [];
  const voted = await askAll(holders, askForVote, { enough, grace: 0, clock });
  // Fewer than t others are left: whoever sees this knows that the point is worth nothing, and that nobody just says so.
  if (voted.answers.size < enough && conflicts.length >= meeting(terms)) return { body, attempt, conflicts, evaluations: [], silent: [] };
  const votes = expectEnough(voted, enough, holders.length);

  const toEvaluate = create(EvaluateRequestSchema, { ...paid, votes });
  const { limit } = body.policy;
  const askToEvaluate = async ({ index, calls }: Participant) => {
    const evaluation = expectOwn(fleet, (await calls.evaluate(toEvaluate)).evaluation, index);
    const { evaluated, enrolledAtMs, used, signature } = evaluation;
    expectWellFormed(fleet, index, () => parseCurveX(evaluated, 'evaluation.evaluated'));
    expectSigned(
      fleet,
      index,
      receiptTranscript({ ...named, index, limit, used, point, evaluated, enrolledAtMs }),
      signature,
      'its receipt',
    );
    return evaluation;
  };
  const answers = await askAll(holders, askToEvaluate, { enough, grace: EVALUATE_GRACE, clock });
  const evaluations = expectEnough(answers, enough, holders.length);
  events.attempted(account.rid, attempt, limit, evaluations.length);
  return { body, attempt, evaluations, silent: silentAmong(holders, fleet, answers) };
}

/**
 * Asks every holder for its share, with the same proof and the same blinded base. Those that refuse, or are away, do not hold up the
 * others; whether one lies, the client finds out by what it signed.
 */
export async function finishRecovery(fleet: Fleet, account: Account, request: FinishRecoveryRequest) {
  const { vault, events } = fleet;
  const { statement } = vault;
  const { attempt, point, blindedBase, proof } = request;
  const g = exactly(G_LENGTH, request.g, 'g');
  const { rid } = account;
  const { body, bodyHash } = await generationOf(fleet, rid, g);
  const { threshold } = termsOf(statement, body.epoch);
  const { fleet: name, epoch } = statement;
  const asked = fleet.participants.filter(({ index }) => isHolder(statement, body, index));
  const message = create(ReleaseRequestSchema, { account, g, attempt, point, blindedBase, proof });
  const askForRelease = async ({ index, calls }: Participant) => {
    const release = expectOwn(fleet, (await calls.release(message)).release, index);
    const { released, signature } = release;
    const transcript = releasedTranscript({ fleet: name, epoch, index, rid, g, attempt, point, blindedBase, released, bodyHash });
    expectSigned(fleet, index, transcript, signature, 'its release');
    return release;
  };
  const answers = await askAll(asked, askForRelease, { enough: threshold, grace: RELEASE_GRACE, clock: vault.clock });
  const releases = expectEnough(answers, threshold, asked.length);
  events.recovered(account.rid, attempt);
  return { releases, silent: silentAmong(asked, fleet, answers) };
}

/** As this replica's guard has it; where it holds no share itself, as etcd has. Throws as `attempts.expectGeneration` does. */
async function generationOf(fleet: Fleet, rid: Uint8Array, g: Uint8Array): Promise<HashedBody> {
  const { live } = await fleet.vault.guard.read(rid);
  if (live && constantTimeEqual(live.body.g, g)) return live;
  return bodyWithHash(fleet, rid, (await fleet.vault.register.expectLive(rid, g)).bodyHash);
}

/** Those that are present, as far as their leases tell, and yet neither answered nor refused. */
function silentAmong(holders: readonly { readonly index: number }[], fleet: Fleet, { answers, failures }: Answers<unknown>): number[] {
  const isSilent = (index: number) => {
    if (answers.has(index) || !fleet.present().has(index)) return false;
    const failure = failures.get(index);
    return failure === undefined || isPassing(failure);
  };
  return holders.map(({ index }) => index).filter(isSilent);
}
