import { create } from '@bufbuild/protobuf';
import { randomBytes } from '@noble/hashes/utils.js';
import { VaultError } from '../primitives/errors.ts';
import { SecretBytes } from '../primitives/secret-bytes.ts';
import { BeginEnrollmentRequestSchema, FinishEnrollmentRequestSchema } from '../proto/gen/backupvault/v1/vault_pb.ts';
import { G_LENGTH } from '../protocol/body.ts';
import { finishTranscript, replaceTranscript } from '../protocol/transcripts.ts';
import { ownerKey, proofKey, rehearsalTag, signWithProofKey } from './derive.ts';
import type { Described } from './describe.ts';
import { droppings, expectCanDrop } from './dropped.ts';
import { type Begun, Enrolment } from './enrolment.ts';
import { type GenerationInput, makeGeneration, type RecordPolicy } from './generation.ts';
import { gatherOffers } from './offers.ts';
import { blind } from './oprf.ts';
import { randomSecret } from './random-secret.ts';
import { type Progress, ridOf, type Vault } from './vault.ts';

export interface EnrolmentPlan {
  readonly recordId: string;
  /** The OPRF's input. */
  readonly input: SecretBytes;
  readonly backupKey: SecretBytes;
  /** By whose owner key what is there is replaced: the same, or the one before. */
  readonly replaces: SecretBytes;
  readonly policy: RecordPolicy;
  /** What is there now and will be replaced; undefined for a record that never was. */
  readonly current: Pick<Described, 'state' | 'g' | 'number' | 'line' | 'holders'> | undefined;
  /** g in a fleet that is being replaced, from which the record moves. */
  readonly moved: Uint8Array | undefined;
  /** A re-enrolment while replicas are down would lower what the record survives. */
  readonly allowFewerHolders: boolean;
  /** Undefined: t. */
  readonly holdersLeast: number | undefined;
  /** Whether the app wants to rehearse the code on the device. */
  readonly rehearsal: boolean;
}

/** Asks for offers and makes a generation of them. Nothing is stored yet: whatever fails here may simply be begun again. */
export async function beginEnrolment(vault: Vault, plan: EnrolmentPlan, progress: Progress): Promise<Enrolment> {
  // Of its own: the caller's may be wiped before the enrolment is over, and it may have to begin again.
  const [input, backupKey, replaces] = [plan.input, plan.backupKey, plan.replaces].map((secret) => new SecretBytes(secret.expose())) as [
    SecretBytes,
    SecretBytes,
    SecretBytes,
  ];
  const secrets = { input, backupKey, replaces };
  let tell = progress;
  const beginning = {
    begin() {
      const told = tell;
      tell = () => {}; // to begin again is nothing that the user need see
      return beginGeneration(vault, { ...plan, ...secrets }, told);
    },
    wipe() {
      for (const secret of Object.values(secrets)) secret.wipe();
    },
  };
  try {
    const rid = ridOf(vault, plan.recordId);
    const rehearsal = plan.rehearsal ? rehearsalTag(plan.backupKey, plan.input, rid) : undefined;
    const ownerKeys = [backupKey, replaces].map((key) => ownerKey(key, rid).publicKey);
    return new Enrolment(vault, await beginning.begin(), beginning, { rehearsal, ownerKeys, moved: plan.moved });
  } catch (error) {
    beginning.wipe();
    throw error;
  }
}

async function beginGeneration(vault: Vault, plan: EnrolmentPlan, progress: Progress): Promise<Begun> {
  const statement = await vault.fleet.statement();
  const [g, s, blinded] = [randomBytes(G_LENGTH), randomSecret(32), blind(plan.input)];
  try {
    return await askAndMake(vault, plan, { statement, g, s, blinded, argon2id: vault.argon2id }, progress);
  } finally {
    s.wipe();
    blinded.blind.wipe();
  }
}

async function askAndMake(
  vault: Vault,
  plan: EnrolmentPlan,
  drawn: Pick<GenerationInput, 'statement' | 'g' | 's' | 'blinded' | 'argon2id'>,
  progress: Progress,
): Promise<Begun> {
  const { recordId, current } = plan;
  const { statement, g, s } = drawn;
  const { replicas, threshold } = statement;
  expectPossible(plan, replicas.length);
  const { point } = drawn.blinded;
  const rid = ridOf(vault, recordId);
  const asked = { g, point, proofKey: proofKey(s.expose(), rid, g) };
  const request = create(BeginEnrollmentRequestSchema, { recordId, ...asked, epoch: BigInt(statement.epoch) });
  progress('asking');
  const offers = await gatherOffers(vault, request, { statement, rid, ...asked });
  expectHolders(offers.length, plan);
  const dropping = droppings(statement);
  expectCanDrop(
    dropping,
    offers.map(({ index }) => index),
  );

  const generation = {
    ...plan,
    ...drawn,
    rid,
    offers,
    previous: current?.g ?? new Uint8Array(0),
    number: (current?.number ?? 0n) + 1n,
    line: isReplacing(current) ? current.line : drawn.g,
  };
  progress('stretching');
  const { body, bodyHash } = await makeGeneration(generation);
  const tickets = offers.map(({ ticket }) => ticket);
  const tags = tickets.map(({ tag }) => tag);
  const signature = signWithProofKey(s.expose(), rid, g, finishTranscript(nameOf(generation), bodyHash, tags));
  const ownerSignature = signReplacement(generation, current, bodyHash);
  const finish = create(FinishEnrollmentRequestSchema, { recordId, point, body, tickets, signature, ownerSignature });
  return { statement, body, bodyHash, dropping, holdersLeast: plan.holdersLeast ?? threshold, request: finish };
}

/** Throws MALFORMED. */
function expectPossible({ holdersLeast = 0 }: EnrolmentPlan, replicas: number): void {
  if (Number.isInteger(holdersLeast) && holdersLeast <= replicas) return;
  throw new VaultError('MALFORMED', `holdersLeast must be an integer, and at most ${replicas}: the fleet has no more replicas.`);
}

/** Throws NOT_ENOUGH_REPLICAS. */
function expectHolders(offered: number, { current, allowFewerHolders, holdersLeast = 0 }: EnrolmentPlan): void {
  const before = allowFewerHolders ? 0 : (current?.holders.length ?? 0);
  const needed = Math.max(before, holdersLeast);
  if (offered >= needed) return;
  const why = before < needed ? 'the app asked for' : 'hold the record now';
  throw new VaultError('NOT_ENOUGH_REPLICAS', `Fewer replicas than ${why} would hold it afterwards.`, {
    details: { replicasAnswered: offered, replicasNeeded: needed },
  });
}

/** Whether there is something whose owner must sign. After an erasure nothing is left to sign for. */
const isReplacing = (current: EnrolmentPlan['current']): current is NonNullable<EnrolmentPlan['current']> =>
  current !== undefined && current.state !== 'erased';

/** By the owner of what is replaced. */
function signReplacement(
  generation: GenerationInput & Pick<EnrolmentPlan, 'replaces'>,
  current: EnrolmentPlan['current'],
  bodyHash: Uint8Array,
) {
  if (!isReplacing(current)) return new Uint8Array(0);
  const { replaces, rid, previous } = generation;
  return ownerKey(replaces, rid).sign(replaceTranscript(nameOf(generation), previous, bodyHash));
}

const nameOf = ({ statement: { fleet, epoch }, rid, g }: GenerationInput) => ({ fleet, epoch, rid, g });
