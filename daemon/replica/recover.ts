import { create } from '@bufbuild/protobuf';
import type { Millis } from '../../primitives/brand.ts';
import { constantTimeEqual, exactly } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import type { Body } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { EvaluateRequestSchema, ReleaseRequestSchema, type Vote, VoteRequestSchema } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import type { BeginRecoveryRequest, Evaluation, FinishRecoveryRequest, Release } from '../../proto/gen/backupvault/v1/vault_pb.ts';
import { G_LENGTH, shareOf } from '../../protocol/body.ts';
import { pointTranscript } from '../../protocol/transcripts.ts';
import type { Account } from '../vault/account.ts';
import { parseCurvePoint } from '../vault/curve-point.ts';
import { messageOf } from './enrol.ts';
import { type Answers, askAll, expectEnough, isPassing } from './fan-out.ts';
import type { Fleet } from './fleet.ts';
import type { Participant } from './participant.ts';

const EVALUATE_GRACE: Millis = 150; // more answers than t let the client see past a wrong one
const RELEASE_GRACE: Millis = 150;

export interface BegunRecovery {
  readonly body: Body;
  readonly attempt: number;
  readonly evaluations: Evaluation[];
  readonly silent: number[];
}

/** Spends an attempt in etcd, has t guards count it, then asks every holder to evaluate. A point that was paid for passes the first two freely. */
export async function beginRecovery(fleet: Fleet, account: Account, request: BeginRecoveryRequest): Promise<BegunRecovery> {
  const { vault, events } = fleet;
  const { point, grant } = request;
  const g = exactly(G_LENGTH, request.g, 'g');
  const pointHash = pointTranscript(parseCurvePoint(point, 'point')).digest;
  const { tenant, recordId, rid } = account;
  await vault.grants.verify(grant, {
    fleet: vault.statement.fleet,
    tenant,
    operation: 'begin-recovery',
    recordId,
    g,
    authorises: pointHash,
  });

  const { attempt, bodyHash } = await vault.register.spend(rid, g, pointHash);
  const paid = { account: messageOf(account), g, bodyHash, attempt, point, grant };
  const votes = await collectVotes(fleet, paid);
  const answers = await evaluateAll(fleet, { ...paid, votes });
  const { body, evaluations } = expectBody(answers, vault.statement.threshold, fleet.participants.length);
  events.attempted(rid, attempt, body.policy?.limit ?? 0, evaluations.length);
  return { body, attempt, evaluations, silent: silentHolders(fleet, body, answers) };
}

interface Paid {
  readonly account: { tenant: string; recordId: string };
  readonly g: Uint8Array;
  readonly bodyHash: Uint8Array;
  readonly attempt: number;
  readonly point: Uint8Array;
  readonly grant: string;
}

async function collectVotes({ vault, participants }: Fleet, paid: Paid): Promise<Vote[]> {
  const message = create(VoteRequestSchema, { ...paid, epoch: BigInt(vault.statement.epoch) });
  const enough = vault.statement.threshold;
  const answers = await askAll(
    participants,
    async ({ index, calls }) => {
      const { vote } = await calls.vote(message);
      if (vote?.index !== index) throw new VaultError('INTERNAL', `Replica ${index} voted as another one.`);
      return vote;
    },
    { enough, grace: 0, clock: vault.clock },
  );
  return expectEnough(answers, enough, participants.length);
}

interface Evaluated {
  readonly evaluation: Evaluation;
  readonly body: Body | undefined;
}

function evaluateAll({ vault, participants }: Fleet, voted: Paid & { readonly votes: Vote[] }): Promise<Answers<Evaluated>> {
  return askAll(
    participants,
    async ({ index, calls }) => {
      // This replica sends its own body if it is a holder; where it is not, any holder's will do.
      const { evaluation, body } = await calls.evaluate(create(EvaluateRequestSchema, { ...voted, wantBody: true }));
      if (evaluation?.index !== index) throw new VaultError('INTERNAL', `Replica ${index} answered for another one.`);
      return { evaluation, body };
    },
    { enough: vault.statement.threshold, grace: EVALUATE_GRACE, clock: vault.clock },
  );
}

function expectBody(answers: Answers<Evaluated>, needed: number, asked: number): { body: Body; evaluations: Evaluation[] } {
  const evaluated = expectEnough(answers, needed, asked);
  const body = evaluated.find((e) => e.body)?.body;
  if (!body) throw new VaultError('INTERNAL', 'No holder sent the body.');
  return { body, evaluations: evaluated.map(({ evaluation }) => evaluation) };
}

/**
 * Asks every holder for its share, with the same proof and the same blinded base. Those that refuse, or are away, do not hold up the
 * others; whether one lies, the client finds out by what it signed.
 */
export async function finishRecovery(
  fleet: Fleet,
  account: Account,
  request: FinishRecoveryRequest,
): Promise<{ releases: Release[]; silent: number[] }> {
  const { vault, events } = fleet;
  const { threshold } = vault.statement;
  const { g, attempt, point, blindedBase, proof } = request;
  const asked = await holdersOf(fleet, account, g);
  const message = create(ReleaseRequestSchema, { account: messageOf(account), g, attempt, point, blindedBase, proof });
  const answers = await askAll(
    asked,
    async ({ index, calls }) => {
      const { release } = await calls.release(message);
      if (release?.index !== index) throw new VaultError('INTERNAL', `Replica ${index} answered for another one.`);
      return release;
    },
    { enough: threshold, grace: RELEASE_GRACE, clock: vault.clock },
  );
  const releases = expectEnough(answers, threshold, asked.length);
  events.recovered(account.rid, attempt);
  return { releases, silent: asked.map(({ index }) => index).filter((index) => isSilent(fleet, index, answers)) };
}

/** As this replica's guard has them; where it holds no share itself, anybody may be one. */
async function holdersOf({ vault, participants }: Fleet, { rid }: Account, g: Uint8Array): Promise<readonly Participant[]> {
  const { live } = await vault.guard.read(rid);
  if (!live || !constantTimeEqual(live.body.g, g)) return participants;
  return participants.filter(({ index }) => shareOf(live.body, index));
}

const silentHolders = (fleet: Fleet, body: Body, answers: Answers<unknown>): number[] =>
  body.shares.map(({ index }) => index).filter((index) => isSilent(fleet, index, answers));

/** Present, as far as its lease tells, and yet neither answered nor refused. */
function isSilent(fleet: Fleet, index: number, { answers, failures }: Answers<unknown>): boolean {
  if (answers.has(index) || !fleet.present().has(index)) return false;
  const failure = failures.get(index);
  return failure === undefined || isPassing(failure);
}
