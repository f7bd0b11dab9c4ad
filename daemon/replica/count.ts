import { create } from '@bufbuild/protobuf';
import type { Millis } from '../../primitives/brand.ts';
import type { Bytes } from '../../primitives/bytes.ts';
import { isVaultError, type VaultError } from '../../primitives/errors.ts';
import type { GrantedPoint as GrantedPointMessage } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { type Vote, VoteRequestSchema } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import type { Body } from '../../protocol/body.ts';
import type { CompressedPoint } from '../../protocol/point.ts';
import type { Signed } from '../../protocol/signature.ts';
import { termsOf } from '../../protocol/terms.ts';
import { type AttemptName, voteTranscript } from '../../protocol/transcripts.ts';
import { exhausted } from '../ledger/attempts.ts';
import { parseGrantedPoint, renderPoint, renderSigned } from '../ledger/guarded.ts';
import { type Place, placesFor } from '../ledger/reconcile.ts';
import type { Account } from '../vault/account.ts';
import { isHolder } from '../vault/evidence.ts';
import { shownPoints } from '../vault/shown.ts';
import { expectWouldVote } from '../vault/vote.ts';
import { expectOwn, expectSigned, generationWithHash } from './believed.ts';
import { type Answers, askAll, expectEnough } from './fan-out.ts';
import type { Fleet } from './fleet.ts';
import type { Participant } from './participant.ts';
import { recallServers } from './reconcile.ts';

/** A point that its tenant paid for. */
export interface Asked {
  readonly account: Account;
  readonly g: Bytes;
  readonly point: CompressedPoint;
  readonly pointHash: Bytes;
  readonly grant: string;
}

/** An attempt as etcd has it, or may have it, and who is asked to count it. */
interface Attempt {
  readonly body: Body;
  readonly named: Omit<AttemptName, 'pointHash'>;
  readonly holders: readonly Participant[];
  /** t */
  readonly enough: number;
  /** `prepared` of t holders, for those that missed the end of the enrolment. */
  readonly prepared: readonly Signed[];
  /** What Vote and Evaluate are asked with. */
  readonly paid: Pick<Asked, 'account' | 'g' | 'point' | 'grant'> & {
    readonly bodyHash: Uint8Array;
    readonly attempt: number;
    readonly shown: GrantedPointMessage[];
  };
}

export interface CountedAttempt extends Attempt {
  /** Of t holders or more. */
  readonly votes: Vote[];
}

const DRY_GRACE: Millis = 150; // how many more than t would count it decides between two numbers

/**
 * Spends an attempt in etcd, and has t guards count it. A point that was paid for passes both freely, and keeps its number, but where etcd has another order
 * of attempts than the guards: then etcd takes theirs first, and the point goes where t of them count it.
 */
export async function countAttempt(fleet: Fleet, asked: Asked): Promise<CountedAttempt> {
  let isPlaced = false;
  const place = async () => {
    isPlaced = true;
    await reorder(fleet, asked);
    return spend(fleet, asked);
  };
  let attempt = await spend(fleet, asked).catch((error: unknown) => {
    if (isVaultError(error, 'EXHAUSTED')) return place(); // by etcd's word
    throw error;
  });
  let voted = await voteFor(fleet, asked, attempt, isPlaced);
  if (isMisplaced(voted, attempt) && !isPlaced) {
    attempt = await place();
    voted = await voteFor(fleet, asked, attempt, isPlaced);
  }
  return { ...attempt, votes: expectEnough(voted, attempt.enough, attempt.holders.length) };
}

/** Fewer than t would count it, and somebody because it has another point there, or lacks one that etcd has below. */
const isMisplaced = ({ answers, failures }: Answers<unknown>, { enough }: Attempt): boolean =>
  answers.size < enough && [...failures.values()].some(isMisplacing);

const isMisplacing = ({ code }: VaultError): boolean => code === 'ATTEMPT_CONFLICT' || code === 'ATTEMPT_GAP';

async function spend(fleet: Fleet, asked: Asked): Promise<Attempt> {
  const { vault } = fleet;
  const { account, g, pointHash, grant } = asked;
  const isListed = (of: bigint) => void termsOf(vault.statement, of);
  const { attempt, lower, bodyHash } = await vault.register.spend(account.rid, g, { pointHash, grant }, isListed);
  return attemptAs(fleet, asked, bodyHash, attempt, lower);
}

async function attemptAs(
  fleet: Fleet,
  { account, g, point, grant }: Asked,
  bodyHash: Uint8Array,
  attempt: number,
  lower: readonly GrantedPointMessage[],
): Promise<Attempt> {
  const { statement } = fleet.vault;
  const { body, prepared } = await generationWithHash(fleet, account.rid, bodyHash);
  const { fleet: name, epoch } = statement;
  return {
    body,
    named: { fleet: name, epoch, rid: account.rid, g, bodyHash, attempt },
    holders: fleet.participants.filter(({ index }) => isHolder(statement, body, index)),
    enough: termsOf(statement, body.epoch).threshold,
    paid: { account, g, bodyHash, attempt, point, grant, shown: [...lower] },
    prepared,
  };
}

/**
 * The votes, or why there are fewer than t. Guards count a point under one number and no other: where those that took it and those that have another one there
 * were both fewer than t, it could never be evaluated. So this replica's own guard counts it last, once that makes t; and where that is not enough, because
 * holders are few or guards disagree, nobody counts it before t say that they would.
 */
async function voteFor(fleet: Fleet, asked: Asked, attempt: Attempt, isPlaced: boolean): Promise<Answers<Vote>> {
  const { holders, enough } = attempt;
  const { vault } = fleet;
  const { index } = vault.self;
  const [own, others] = [holders.filter((each) => each.index === index), holders.filter((each) => each.index !== index)];
  const name = { ...attempt.named, pointHash: asked.pointHash };
  const refusal = await expectWouldVote(vault, name, voteRequest(fleet, attempt, true)).then(
    () => undefined,
    (error: unknown) => error as VaultError,
  );
  if (refusal && isMisplacing(refusal) && !isPlaced) return { answers: new Map(), failures: new Map([[index, refusal]]) };
  if (refusal || isPlaced || holders.length < 2 * enough - 1) {
    const would = await askWhoWould(fleet, attempt);
    if (would.answers.size < enough) return { answers: new Map(), failures: would.failures };
    return askForVotes(fleet, name, attempt, holders, enough);
  }
  const voted = await askForVotes(fleet, name, attempt, others, enough - 1);
  if (voted.answers.size < enough - 1) return voted;
  const last = await askForVotes(fleet, name, attempt, own, 1);
  if (last.answers.size === 0) return askForVotes(fleet, name, attempt, others, enough);
  return { answers: new Map([...voted.answers, ...last.answers]), failures: voted.failures };
}

function askForVotes(
  fleet: Fleet,
  name: AttemptName,
  attempt: Attempt,
  of: readonly Participant[],
  enough: number,
): Promise<Answers<Vote>> {
  const { clock } = fleet.vault;
  const request = voteRequest(fleet, attempt, false);
  const ask = async ({ index, calls }: Participant): Promise<Vote> => {
    const vote = expectOwn(fleet, (await calls.vote(request)).vote, index);
    expectSigned(fleet, index, voteTranscript(index, name), vote.signature, 'its vote');
    return vote;
  };
  return askAll(of, ask, { enough, grace: 0, clock });
}

/** Nothing is counted: what a guard says here is worth no more than its word. */
function askWhoWould(fleet: Fleet, attempt: Attempt): Promise<Answers<unknown>> {
  const { clock } = fleet.vault;
  const request = voteRequest(fleet, attempt, true);
  return askAll(attempt.holders, ({ calls }) => calls.vote(request), { enough: attempt.enough, grace: DRY_GRACE, clock });
}

const voteRequest = ({ vault: { statement } }: Fleet, { paid, prepared }: Attempt, dry: boolean) =>
  create(VoteRequestSchema, { ...paid, prepared: prepared.map(renderSigned), epoch: BigInt(statement.epoch), dry });

/**
 * REORDER: etcd takes the order of the guards, as far as they show what they counted, and the point goes where most of them count it. Throws NOT_ENOUGH_REPLICAS;
 * EXHAUSTED where other points use up all numbers.
 */
async function reorder(fleet: Fleet, asked: Asked): Promise<void> {
  const { vault, events } = fleet;
  const { statement, register, grants } = vault;
  const { account, g, pointHash, grant } = asked;
  const { rid } = account;
  const seen = await register.expectLive(rid, g);
  const servers = await recallServers(fleet, rid, seen);
  const granted = await shownPoints(grants, { fleet: statement.fleet, rid, g }, seen.points.map(parseGrantedPoint));
  const { threshold } = termsOf(statement, seen.epoch);
  const places = placesFor({ pointHash, grant }, granted, servers, { limit: seen.limit, threshold });
  const best = await bestOf(fleet, asked, seen.bodyHash, places);
  if (!best) throw exhausted(seen);
  await register.reorder(rid, best.points, seen, servers);
  events.reordered(rid, servers.length);
}

/** The first where t would count it, else where most would: a guard may say anything of what it counted. */
async function bestOf(fleet: Fleet, asked: Asked, bodyHash: Uint8Array, places: readonly Place[]): Promise<Place | undefined> {
  if (places.length < 2) return places[0];
  let best: { place: Place; would: number } | undefined;
  for (const place of places) {
    const attempt = await attemptAs(fleet, asked, bodyHash, place.attempt, place.points.slice(0, place.attempt - 1).map(renderPoint));
    const would = (await askWhoWould(fleet, attempt)).answers.size;
    if (would >= attempt.enough) return place;
    if (best === undefined || would > best.would) best = { place, would };
  }
  return best?.place;
}
