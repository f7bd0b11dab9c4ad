import { create } from '@bufbuild/protobuf';
import type { Millis } from '../../primitives/brand.ts';
import { exactly } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import { DecideRequestSchema, HoldsRequestSchema } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import {
  type DecideHoldRequest,
  type Decision,
  type HeldAttempt,
  HeldAttemptSchema,
  HoldState,
} from '../../proto/gen/backupvault/v1/vault_pb.ts';
import { type Body, G_LENGTH, HASH_LENGTH, MAX_ATTEMPTS } from '../../protocol/body.ts';
import type { Statement } from '../../protocol/statement.ts';
import { termsOf } from '../../protocol/terms.ts';
import { decidedTranscript } from '../../protocol/transcripts.ts';
import type { Account } from '../vault/account.ts';
import { isHolder } from '../vault/evidence.ts';
import { parseCurvePoint } from '../vault/p256.ts';
import type { Elsewhere } from '../vault/release.ts';
import type { Vault } from '../vault/vault.ts';
import { expectOwn, expectSigned, expectWellFormed } from './believed.ts';
import { askAll, askEnough, expectEnough } from './fan-out.ts';
import type { Fleet } from './fleet.ts';
import type { Participant } from './participant.ts';
import { parseDecided } from './reconcile.ts';
import { generationOf } from './recover.ts';

const DECIDE_GRACE: Millis = 2000; // the more keep to it, the sooner it is final
const HOLDS_GRACE: Millis = 500;

/**
 * Passes the owner's word about an attempt on to every holder. Returns who signed that it keeps to that, and who had released: how many are enough, the client says.
 * Throws GENERATION_UNKNOWN, OWNER_REFUSED, VETOED, NOT_ENOUGH_REPLICAS.
 */
export async function decideHold(fleet: Fleet, { rid }: Account, request: DecideHoldRequest) {
  const { vault, events } = fleet;
  const { statement } = vault;
  const { attempt, veto, signature, blindedBase } = request;
  const g = exactly(G_LENGTH, request.g, 'g');
  const pointHash = exactly(HASH_LENGTH, request.pointHash, 'point_hash');
  const { body } = await generationOf(fleet, rid, g);
  const holders = holdersAmong(fleet.participants, statement, body);
  const message = create(DecideRequestSchema, { rid, g, attempt, pointHash, veto, signature, blindedBase, epoch: BigInt(statement.epoch) });
  const { fleet: name, epoch } = statement;
  const ask = async ({ index, calls }: Participant): Promise<Decision | undefined> => {
    const { decided } = await calls.decide(message);
    if (!decided) return undefined;
    const { meeting } = expectOwn(fleet, decided, index);
    const transcript = decidedTranscript(veto, { fleet: name, epoch, index, rid, g, attempt, pointHash, meeting });
    expectSigned(fleet, index, transcript, decided.signature, 'that it keeps to the owner’s word');
    return decided;
  };
  const { threshold } = termsOf(statement, body.epoch);
  const answers = await askAll(holders, ask, { enough: threshold, grace: DECIDE_GRACE, clock: vault.clock });
  expectEnough(answers, 1, holders.length);
  const decided = [...answers.answers.values()].filter((each) => each !== undefined);
  events.decided(rid, attempt, veto, decided.length);
  return { decided, released: [...answers.answers].filter(([, each]) => !each).map(([index]) => index) };
}

/** What holders say of attempts that are held: each is asked, and what one says is enough to alarm. None where the record has no hold. */
export async function heldOf(fleet: Fleet, body: Body): Promise<HeldAttempt[]> {
  if (body.policy.holdMs === 0n) return [];
  const message = create(HoldsRequestSchema, { rid: body.rid, g: body.g });
  const holders = holdersAmong(fleet.participants, fleet.vault.statement, body);
  const ask = async ({ index, calls }: Participant) => {
    const { held } = await calls.holds(message);
    return expectWellFormed(fleet, index, () => held.slice(0, MAX_ATTEMPTS).map((each) => parseHeld(each, index, body)));
  };
  const { threshold } = termsOf(fleet.vault.statement, body.epoch);
  const { answers } = await askAll(holders, ask, { enough: threshold, grace: HOLDS_GRACE, clock: fleet.vault.clock });
  return [...answers.values()].flat();
}

const MOST_TIME = 8_640_000_000_000_000n; // of a Date

/** As a liar may not have it: nobody signs it, and the alarm must reach its owner. Throws MALFORMED. */
function parseHeld({ attempt, untilMs, state, ...told }: HeldAttempt, index: number, { policy }: Body): HeldAttempt {
  const pointHash = exactly(HASH_LENGTH, told.pointHash, 'held.point_hash');
  const blindedBase = told.blindedBase.length === 0 ? told.blindedBase : parseCurvePoint(told.blindedBase, 'held.blinded_base');
  if (attempt < 1 || attempt > policy.limit || untilMs > MOST_TIME || !(state in HoldState))
    throw new VaultError('MALFORMED', 'What is held makes no sense.');
  return create(HeldAttemptSchema, { index, attempt, pointHash, untilMs, state, blindedBase });
}

/** What the owner said of attempts to other holders, t−1 at least. Throws NOT_ENOUGH_REPLICAS. */
export const askingElsewhere =
  ({ statement, self, clock }: Vault, participants: readonly Participant[]): Elsewhere =>
  async (body) => {
    const others = holdersAmong(participants, statement, body).filter(({ index }) => index !== self.index);
    const message = create(HoldsRequestSchema, { rid: body.rid, g: body.g });
    const ask = async ({ calls }: Participant) => parseDecided((await calls.holds(message)).decided);
    const enough = termsOf(statement, body.epoch).threshold - 1;
    return (await askEnough(others, ask, { enough, grace: HOLDS_GRACE, clock })).flat();
  };

export const holdersAmong = (participants: readonly Participant[], statement: Statement, body: Body): Participant[] =>
  participants.filter(({ index }) => isHolder(statement, body, index));
