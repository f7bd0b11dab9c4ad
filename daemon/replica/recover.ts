import { create } from '@bufbuild/protobuf';
import type { Millis } from '../../primitives/brand.ts';
import { constantTimeEqual } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import { EvaluateRequestSchema, ReleaseRequestSchema, VoteRequestSchema } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import type { BeginRecoveryRequest, FinishRecoveryRequest } from '../../proto/gen/backupvault/v1/vault_pb.ts';
import { shareOf } from '../../protocol/body.ts';
import type { Account } from '../vault/account.ts';
import { expectGrantedPoint } from '../vault/vote.ts';
import { type Answers, askAll, askEnough, expectEnough, expectOwn, isPassing } from './fan-out.ts';
import type { Fleet } from './fleet.ts';
import type { Participant } from './participant.ts';

const EVALUATE_GRACE: Millis = 150; // more answers than t let the client see past a wrong one
const RELEASE_GRACE: Millis = 150;

/** Spends an attempt in etcd, has t guards count it, then asks every holder to evaluate. A point that was paid for passes the first two freely. */
export async function beginRecovery(fleet: Fleet, account: Account, request: BeginRecoveryRequest) {
  const { vault, participants, events } = fleet;
  const { statement, clock } = vault;
  const enough = statement.threshold;
  const { g, point, pointHash } = await expectGrantedPoint(vault, account, request);
  const { attempt, bodyHash } = await vault.register.spend(account.rid, g, pointHash);
  const paid = { account, g, bodyHash, attempt, point, grant: request.grant };

  const toVote = create(VoteRequestSchema, { ...paid, epoch: BigInt(statement.epoch) });
  const askForVote = async ({ index, calls }: Participant) => {
    const { vote } = await calls.vote(toVote);
    if (vote?.index !== index) throw new VaultError('INTERNAL', `Replica ${index} voted as another one.`);
    return vote;
  };
  const votes = await askEnough(participants, askForVote, { enough, grace: 0, clock });

  // This replica sends its own body if it is a holder; where it is not, any holder's will do.
  const toEvaluate = create(EvaluateRequestSchema, { ...paid, votes, wantBody: true });
  const askToEvaluate = async ({ index, calls }: Participant) => {
    const { evaluation, body } = await calls.evaluate(toEvaluate);
    return { evaluation: expectOwn(evaluation, index), body };
  };
  const answers = await askAll(participants, askToEvaluate, { enough, grace: EVALUATE_GRACE, clock });
  const evaluated = expectEnough(answers, enough, participants.length);
  const body = evaluated.find((e) => e.body)?.body;
  if (!body) throw new VaultError('INTERNAL', 'No holder sent the body.');
  const evaluations = evaluated.map(({ evaluation }) => evaluation);
  events.attempted(account.rid, attempt, body.policy?.limit ?? 0, evaluations.length);
  return { body, attempt, evaluations, silent: silentAmong(body.shares, fleet, answers) };
}

/**
 * Asks every holder for its share, with the same proof and the same blinded base. Those that refuse, or are away, do not hold up the
 * others; whether one lies, the client finds out by what it signed.
 */
export async function finishRecovery(fleet: Fleet, account: Account, request: FinishRecoveryRequest) {
  const { vault, events } = fleet;
  const { threshold } = vault.statement;
  const { g, attempt, point, blindedBase, proof } = request;
  const asked = await holdersOf(fleet, account, g);
  const message = create(ReleaseRequestSchema, { account, g, attempt, point, blindedBase, proof });
  const answers = await askAll(asked, async ({ index, calls }) => expectOwn((await calls.release(message)).release, index), {
    enough: threshold,
    grace: RELEASE_GRACE,
    clock: vault.clock,
  });
  const releases = expectEnough(answers, threshold, asked.length);
  events.recovered(account.rid, attempt);
  return { releases, silent: silentAmong(asked, fleet, answers) };
}

/** As this replica's guard has them; where it holds no share itself, anybody may be one. */
async function holdersOf({ vault, participants }: Fleet, { rid }: Account, g: Uint8Array): Promise<readonly Participant[]> {
  const { live } = await vault.guard.read(rid);
  if (!live || !constantTimeEqual(live.body.g, g)) return participants;
  return participants.filter(({ index }) => shareOf(live.body, index));
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
