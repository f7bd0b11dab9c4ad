import { create } from '@bufbuild/protobuf';
import { randomBytes } from '@noble/hashes/utils.js';
import { VaultError } from '../primitives/errors.ts';
import type { SecretBytes } from '../primitives/secret-bytes.ts';
import { BeginEnrollmentRequestSchema, FinishEnrollmentRequestSchema } from '../proto/gen/backupvault/v1/vault_pb.ts';
import { G_LENGTH } from '../protocol/body.ts';
import { replaceTranscript } from '../protocol/transcripts.ts';
import { ownerKey, rehearsalTag } from './derive.ts';
import type { Description } from './describe.ts';
import { Enrolment } from './enrolment.ts';
import { type GenerationInput, type HolderSecrets, makeGeneration, type RecordPolicy } from './generation.ts';
import { insist } from './insist.ts';
import { verifyOffers } from './offers.ts';
import { blind } from './oprf.ts';
import { seal } from './seal.ts';
import { type EphemeralKey, newEphemeralKey, sessionKey } from './session.ts';
import { type Progress, ridOf, type Vault } from './vault.ts';

export interface EnrolmentPlan {
  readonly recordId: string;
  /** The stretched code. */
  readonly input: SecretBytes;
  readonly backupKey: SecretBytes;
  readonly policy: RecordPolicy;
  /** What is there now and will be replaced; undefined for a record that never was. */
  readonly current: Pick<Description, 'state' | 'g' | 'holders'> | undefined;
  /** g in a fleet that is being replaced, from which the record moves. */
  readonly moved: Uint8Array | undefined;
  /** A re-enrolment while replicas are down would lower what the record survives. */
  readonly allowFewerHolders: boolean;
}

/** Asks for offers and makes a generation of them. Nothing is stored yet: whatever fails here may simply be begun again. */
export async function beginEnrolment(vault: Vault, plan: EnrolmentPlan, progress: Progress): Promise<Enrolment> {
  const { recordId, input, current } = plan;
  const statement = await vault.fleet.statement();
  const rid = ridOf(vault, recordId);
  const g = randomBytes(G_LENGTH);
  const blinded = blind(input);
  const ephemeral = newEphemeralKey();
  const { point } = blinded;
  const clientKey = ephemeral.publicKey;

  progress('asking');
  const request = create(BeginEnrollmentRequestSchema, { recordId, g, point, clientKey, epoch: BigInt(statement.epoch) });
  const offers = await insist(vault.clock, async () =>
    verifyOffers((await vault.transport.beginEnrollment(request)).offers, { statement, rid, g, point, clientKey }),
  );
  expectNoFewerHolders(offers.length, plan);

  const previous = current?.g ?? new Uint8Array(0);
  const generation = { ...plan, statement, rid, g, blinded, offers, previous };
  const { body, bodyHash, holders } = await makeGeneration(generation);
  const deposits = await Promise.all(holders.map((holder) => makeDeposit(holder, ephemeral, generation, bodyHash)));
  const ownerSignature = signReplacement(generation, current, bodyHash);
  ephemeral.secretKey.wipe();
  blinded.blind.wipe();
  return new Enrolment(
    vault,
    statement,
    { body, bodyHash },
    create(FinishEnrollmentRequestSchema, { recordId, point, clientKey, body, deposits, ownerSignature }),
    rehearsalTag(plan.backupKey, input, rid),
    plan.moved,
  );
}

async function makeDeposit(
  { offer, auth, release }: HolderSecrets,
  ephemeral: EphemeralKey,
  generation: GenerationInput,
  bodyHash: Uint8Array,
) {
  const { statement, rid, g, blinded } = generation;
  const { fleet, epoch } = statement;
  const binding = { fleet, epoch, statementHash: statement.hash, rid, g, attempt: 0, point: blinded.point, bodyHash };
  const key = (purpose: 'enrol-auth' | 'enrol-release') => sessionKey(offer.replica, ephemeral, { ...binding, purpose });
  return {
    index: offer.index,
    ticket: offer.ticket,
    sealedAuth: await seal(await key('enrol-auth'), auth),
    sealedRelease: await seal(await key('enrol-release'), release),
  };
}

function expectNoFewerHolders(offered: number, { current, allowFewerHolders }: EnrolmentPlan): void {
  const before = current?.holders.length ?? 0;
  if (offered >= before || allowFewerHolders) return;
  throw new VaultError('NOT_ENOUGH_REPLICAS', 'Fewer replicas than hold the record now would hold it afterwards.', {
    details: { replicasAnswered: offered, replicasNeeded: before },
  });
}

/** By the key of the backup that is enrolled, which must be the one whose record is replaced. After an erasure there is no owner left to sign for. */
function signReplacement(
  { statement, rid, g, backupKey, previous }: GenerationInput,
  current: EnrolmentPlan['current'],
  bodyHash: Uint8Array,
) {
  if (!current || current.state === 'erased') return new Uint8Array(0);
  const { fleet, epoch } = statement;
  return ownerKey(backupKey, rid).sign(replaceTranscript({ fleet, epoch, rid, g }, previous, bodyHash));
}
