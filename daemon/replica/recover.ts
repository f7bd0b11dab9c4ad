import { create } from '@bufbuild/protobuf';
import type { Millis } from '../../primitives/brand.ts';
import { constantTimeEqual, exactly } from '../../primitives/bytes.ts';
import { EvaluateRequestSchema, ReleaseRequestSchema } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import type { BeginRecoveryRequest, FinishRecoveryRequest } from '../../proto/gen/backupvault/v1/vault_pb.ts';
import { G_LENGTH, type HashedBody } from '../../protocol/body.ts';
import { termsOf } from '../../protocol/terms.ts';
import { heldTranscript, receiptTranscript, releasedTranscript } from '../../protocol/transcripts.ts';
import type { Account } from '../vault/account.ts';
import { isHolder } from '../vault/evidence.ts';
import { parseCurveX } from '../vault/p256.ts';
import { expectServed } from '../vault/served.ts';
import { expectGrantedPoint } from '../vault/vote.ts';
import { expectOwn, expectSigned, expectWellFormed, generationWithHash } from './believed.ts';
import { countAttempt } from './count.ts';
import { type Answers, askAll, expectEnough, isPassing } from './fan-out.ts';
import type { Fleet } from './fleet.ts';
import type { Participant } from './participant.ts';

const EVALUATE_GRACE: Millis = 150; // more answers than t let the client see past a wrong one
const RELEASE_GRACE: Millis = 150;

/** Has the attempt counted, then asks every holder to evaluate. */
export async function beginRecovery(fleet: Fleet, account: Account, request: BeginRecoveryRequest) {
  const { vault, events } = fleet;
  const { g, point, pointHash } = await expectGrantedPoint(vault, account, request);
  await expectServed(vault, account.rid, g);
  const asked = { account, g, point, pointHash, grant: request.grant };
  const { body, named, holders, paid, enough, votes } = await countAttempt(fleet, asked);
  const { attempt } = named;

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
  const answers = await askAll(holders, askToEvaluate, { enough, grace: EVALUATE_GRACE, clock: vault.clock });
  const evaluations = expectEnough(answers, enough, holders.length);
  events.attempted(account.rid, attempt, limit, evaluations.length);
  return { body, attempt, evaluations, silent: silentAmong(holders, fleet, answers) };
}

/**
 * Asks every holder for its share, or whether it holds it back, with the same proof and the same blinded base. Those that refuse, or are away, do not hold up the
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
    const response = await calls.release(message);
    const asked = { fleet: name, epoch, index, rid, g, attempt, point, blindedBase, bodyHash };
    if (response.held) {
      const held = expectOwn(fleet, response.held, index);
      expectSigned(fleet, index, heldTranscript({ ...asked, untilMs: held.untilMs }), held.signature, 'that it holds its answer back');
      return { held };
    }
    const release = expectOwn(fleet, response.release, index);
    expectSigned(fleet, index, releasedTranscript({ ...asked, released: release.released }), release.signature, 'its release');
    return { release };
  };
  const answers = await askAll(asked, askForRelease, { enough: threshold, grace: RELEASE_GRACE, clock: vault.clock });
  const all = expectEnough(answers, threshold, asked.length);
  const releases = all.map(({ release }) => release).filter((release) => release !== undefined);
  const held = all.map((answer) => answer.held).filter((each) => each !== undefined);
  if (releases.length >= threshold) events.recovered(account.rid, attempt);
  if (held.length > 0) events.held(account.rid, attempt, held.length);
  return { releases, held, silent: silentAmong(asked, fleet, answers) };
}

/** As this replica's guard has it; where it holds no share itself, as others show it. Throws as `Register.expectLive` does, NOT_ENOUGH_REPLICAS. */
export async function generationOf(fleet: Fleet, rid: Uint8Array, g: Uint8Array): Promise<HashedBody> {
  const { live } = await fleet.vault.guard.read(rid);
  if (live && constantTimeEqual(live.body.g, g)) return live;
  return generationWithHash(fleet, rid, (await fleet.vault.register.expectLive(rid, g)).bodyHash);
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
