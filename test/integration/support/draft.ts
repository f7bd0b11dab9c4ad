import { create } from '@bufbuild/protobuf';
import { randomBytes } from '@noble/hashes/utils.js';
import { ownerKey } from '../../../client/derive.ts';
import { type HolderSecrets, makeGeneration } from '../../../client/generation.ts';
import { verifyOffers } from '../../../client/offers.ts';
import { type Blinded, blind } from '../../../client/oprf.ts';
import { seal } from '../../../client/seal.ts';
import { type EphemeralKey, newEphemeralKey, type SessionBinding, sessionKey } from '../../../client/session.ts';
import type { ClientFile } from '../../../fleet/client-file.ts';
import { type Bytes, utf8 } from '../../../primitives/bytes.ts';
import { SecretBytes } from '../../../primitives/secret-bytes.ts';
import type { Body } from '../../../proto/gen/backupvault/v1/record_pb.ts';
import { type PrepareRequest, PrepareRequestSchema } from '../../../proto/gen/backupvault/v1/replica_pb.ts';
import {
  type Deposit,
  DepositSchema,
  type FinishEnrollmentRequest,
  FinishEnrollmentRequestSchema,
} from '../../../proto/gen/backupvault/v1/vault_pb.ts';
import type { HashedBody } from '../../../protocol/body.ts';
import { beginEnrolmentTranscript, bodyTranscript, replaceTranscript } from '../../../protocol/transcripts.ts';
import type { World } from './world.ts';

/** What the OPRF takes: a stretched code. */
export const input = (code: string): SecretBytes => new SecretBytes(utf8(code));
export const CODE = 'correct horse';

/** An enrolment made by hand, honestly, with everything that only its device would know. */
export interface Draft extends HashedBody {
  readonly file: ClientFile;
  readonly recordId: string;
  readonly rid: Bytes;
  readonly g: Uint8Array;
  readonly blinded: Blinded;
  readonly ephemeral: EphemeralKey;
  readonly backupKey: SecretBytes;
  readonly holders: readonly HolderSecrets[];
  readonly deposits: readonly Deposit[];
  readonly ownerSignature: Uint8Array;
}

export interface DraftOptions {
  readonly limit?: number;
  /** The generation that this one replaces. */
  readonly replaces?: Draft;
  /** For one who names a generation as he likes. */
  readonly g?: Uint8Array;
  /** For one who replaces what is not his: a generation by its name alone, without a signature. */
  readonly previous?: Uint8Array;
  /** Whose account it is. */
  readonly file?: ClientFile;
  /** Replicas whose offers are taken; all unless told. */
  readonly among?: readonly number[];
}

/** Begins an enrolment at the fleet and makes everything that finishing it takes. */
export async function draftEnrolment(world: World, recordId: string, options: DraftOptions = {}): Promise<Draft> {
  const { limit = 3, replaces, file = world.client, among = [1, 2, 3], g = randomBytes(16) } = options;
  const rid = world.rid(recordId, file);
  const blinded = blind(input(CODE));
  const ephemeral = newEphemeralKey();
  const asked = { g, point: blinded.point, clientKey: ephemeral.publicKey };
  const authorises = beginEnrolmentTranscript(asked.point, asked.clientKey).digest;
  const grant = await world.grant({ operation: 'begin-enrolment', recordId, g, authorises }, file);
  const { offers } = await world.frontend(file.tls).beginEnrollment({ recordId, ...asked, grant });
  const { statement } = world;
  const backupKey = replaces?.backupKey ?? new SecretBytes(randomBytes(32));
  const previous = options.previous ?? replaces?.g ?? new Uint8Array(0);
  const { holders, ...hashed } = await makeGeneration({
    ...{ statement, rid, g, blinded, backupKey, previous, policy: { limit, coolDownMs: 0 } },
    offers: await verifyOffers(
      offers.filter(({ index }) => among.includes(index)),
      { statement, rid, ...asked },
    ),
  });
  const drawn = { file, recordId, rid, g, blinded, ephemeral, backupKey, holders, ...hashed };
  const deposits = await Promise.all(holders.map((holder) => deposit(world, drawn, holder)));
  return { ...drawn, deposits, ownerSignature: replaces ? signReplacement(world, drawn, replaces.g) : new Uint8Array(0) };
}

type Sealing = Pick<Draft, 'rid' | 'g' | 'blinded' | 'ephemeral' | 'bodyHash'>;

/** What a device seals for one replica; `binding` is for those who seal for something else than they say. */
export async function deposit(
  world: World,
  draft: Sealing,
  holder: HolderSecrets,
  binding: Partial<SessionBinding> = {},
): Promise<Deposit> {
  const key = (purpose: SessionBinding['purpose']) => sealingKey(world, draft, holder.offer.index, { purpose, ...binding });
  return create(DepositSchema, {
    index: holder.offer.index,
    ticket: holder.offer.ticket,
    sealedAuth: await seal(await key('enrol-auth'), holder.auth),
    sealedRelease: await seal(await key('enrol-release'), holder.release),
  });
}

/** The session key with replica `index` at enrolment. */
export function sealingKey(
  world: World,
  draft: Sealing,
  index: number,
  binding: Partial<SessionBinding> & Pick<SessionBinding, 'purpose'>,
): Promise<Bytes> {
  const { fleet, epoch, hash: statementHash, replicas } = world.statement;
  const { rid, g, blinded, ephemeral, bodyHash } = draft;
  const replica = replicas[index - 1];
  if (!replica) throw new RangeError(`there is no replica ${index}`);
  return sessionKey(replica, ephemeral, { fleet, epoch, statementHash, rid, g, attempt: 0, point: blinded.point, bodyHash, ...binding });
}

function signReplacement(
  { statement: { fleet, epoch } }: World,
  { backupKey, rid, g, bodyHash }: Omit<Draft, 'deposits' | 'ownerSignature'>,
  previous: Uint8Array,
) {
  return ownerKey(backupKey, rid).sign(replaceTranscript({ fleet, epoch, rid, g }, previous, bodyHash));
}

/** A hostile frontend's grant for whatever body it likes. */
export function grantFor(world: World, { file, recordId }: Pick<Draft, 'file' | 'recordId'>, body: Body): Promise<string> {
  const authorises = bodyTranscript(body).digest;
  return world.grant({ operation: 'finish-enrolment', recordId, g: body.g, authorises }, file);
}

/** What the coordinator sends to one replica. */
export async function prepareRequest(world: World, draft: Draft, index: number): Promise<PrepareRequest> {
  const { file, recordId, blinded, ephemeral, body, deposits, ownerSignature } = draft;
  const deposit = deposits.find((d) => d.index === index);
  if (!deposit) throw new RangeError(`replica ${index} offered nothing`);
  return create(PrepareRequestSchema, {
    account: { tenant: file.tenant, recordId },
    point: blinded.point,
    clientKey: ephemeral.publicKey,
    body,
    deposit,
    grant: await grantFor(world, draft, body),
    ownerSignature,
  });
}

/** What the frontend sends. */
export async function finishRequest(world: World, draft: Draft): Promise<FinishEnrollmentRequest> {
  const { recordId, blinded, ephemeral, body, deposits, ownerSignature } = draft;
  return create(FinishEnrollmentRequestSchema, {
    recordId,
    point: blinded.point,
    clientKey: ephemeral.publicKey,
    body,
    deposits: [...deposits],
    grant: await grantFor(world, draft, body),
    ownerSignature,
  });
}

/** A record that is live on every replica. */
export async function enrolled(world: World, recordId: string, options: DraftOptions = {}): Promise<Draft> {
  const draft = await draftEnrolment(world, recordId, options);
  await world.frontend(draft.file.tls).finishEnrollment(await finishRequest(world, draft));
  return draft;
}
