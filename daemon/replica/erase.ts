import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { Millis } from '../../primitives/brand.ts';
import { constantTimeEqual, exactly } from '../../primitives/bytes.ts';
import { isVaultError, VaultError } from '../../primitives/errors.ts';
import { type Attempts, type Erasure, ErasureSchema, type Signed } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { type ForgetRequest, ForgetRequestSchema, SpentRequestSchema } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import type { EraseRecordRequest } from '../../proto/gen/backupvault/v1/vault_pb.ts';
import { G_LENGTH } from '../../protocol/body.ts';
import { leastThreshold } from '../../protocol/terms.ts';
import { erasedTranscript, spentTranscript } from '../../protocol/transcripts.ts';
import { type Generation, heldBy, renderShown, shownOf } from '../ledger/guarded.ts';
import type { Account } from '../vault/account.ts';
import { expectErasure } from '../vault/erasure.ts';
import { isHolder } from '../vault/evidence.ts';
import { forget } from '../vault/forget.ts';
import type { Vault } from '../vault/vault.ts';
import { expectOwn, expectSigned, generationWithHash } from './believed.ts';
import { askAll, askEnough } from './fan-out.ts';
import type { Fleet } from './fleet.ts';
import type { Participant } from './participant.ts';
import { reconciling } from './reconcile.ts';

const FORGET_GRACE: Millis = 500;

/** What the replicas did about an erasure. */
interface Erased {
  /** Signed that no seed of the generation is left. */
  readonly erased: Signed[];
  /** Serve it no more, and will sign once they cannot make its seed again, and know what goes with it. */
  readonly pending: number[];
}

/** Erases on a tenant's word. */
export async function eraseRecord(fleet: Fleet, account: Account, request: EraseRecordRequest): Promise<Erased> {
  const { vault, events } = fleet;
  const g = exactly(G_LENGTH, request.g, 'g');
  const { rid } = account;
  const erasure = create(ErasureSchema, { grant: request.grant });
  await expectErasure(vault, rid, g, erasure);
  await eraseInStore(vault, rid, g, erasure);
  events.erased(rid, 'asked');
  return forgetEverywhere(fleet, rid, g, erasure);
}

/**
 * In etcd, which may know no such generation while replicas do: it was erased before, and the record enrolled again since, while they were away; or etcd
 * forgot it, and they go by it and take no first enrolment. Throws RECORD_UNKNOWN, GENERATION_UNKNOWN.
 */
async function eraseInStore({ register, guard }: Vault, rid: Uint8Array, g: Uint8Array, erasure: Erasure): Promise<void> {
  const isMeant = (body: { readonly g: Uint8Array }) => constantTimeEqual(body.g, g);
  const guarded = await guard.read(rid);
  const held = heldBy(guarded).find(({ body }) => isMeant(body));
  try {
    await (held ? register.eraseForgotten(rid, held, erasure) : register.erase(rid, g, erasure));
  } catch (error) {
    const isUnknown = isVaultError(error, 'RECORD_UNKNOWN') || isVaultError(error, 'GENERATION_UNKNOWN');
    if (!isUnknown || !(held || guarded.destroyed.some(isMeant))) throw error;
  }
}

/** Erases a record that was spent, once t replicas say that its grace is over. */
export async function eraseSpent(fleet: Fleet, rid: Uint8Array, { g, bodyHash }: Pick<Attempts, 'g' | 'bodyHash'>): Promise<void> {
  const { vault, events } = fleet;
  const { statement } = vault;
  const { epoch, fleet: name } = statement;
  const generation = await generationWithHash(fleet, rid, bodyHash).catch((error: unknown) => {
    if (isVaultError(error, 'GENERATION_UNKNOWN')) return undefined; // nobody holds what etcd names, so nobody says that it is spent
    throw error;
  });
  if (!generation) return;
  const { body } = generation;
  const terms = statement.terms.get(Number(body.epoch));
  const enough = terms?.threshold ?? leastThreshold(statement);
  const asked = terms ? fleet.participants.filter(({ index }) => isHolder(statement, body, index)) : fleet.participants;
  const message = create(SpentRequestSchema, { rid, g });
  const ask = async ({ index, calls }: Participant) => {
    const { spent } = await calls.spent(message);
    if (!spent) throw new VaultError('NOT_ENOUGH_REPLICAS', `Replica ${index} has not counted every attempt, or keeps the record for now.`);
    const { signature } = expectOwn(fleet, spent, index);
    expectSigned(fleet, index, spentTranscript({ fleet: name, epoch, index, rid, g }), signature, 'that the record is spent');
    return spent;
  };
  const { answers } = await askAll(asked, ask, { enough, grace: 0, clock: vault.clock });
  if (answers.size < enough) return;
  const erasure = create(ErasureSchema, { spent: [...answers.values()] });
  if (!(await reconciling(fleet, rid, () => vault.register.eraseSpent(rid, g, erasure)))) return;
  events.erased(rid, 'exhausted');
  await forgetEverywhere(fleet, rid, g, erasure);
}

/** For a replica that was not told in time: others sign that they destroyed it, so many that one tells the truth. Throws NOT_ENOUGH_REPLICAS. */
export async function eraseAsOthersDid(fleet: Fleet, rid: Uint8Array, held: Generation): Promise<void> {
  const { vault, participants } = fleet;
  const { g } = held.body;
  const others = participants.filter(({ index }) => index !== vault.self.index);
  const askToForgetNow = askToForget(fleet, { rid, g, shown: renderShown(held) });
  const ask = async (participant: Participant) => {
    const erased = await askToForgetNow(participant);
    if (!erased) throw new VaultError('NOT_ENOUGH_REPLICAS', `Replica ${participant.index} can still make the seed again; ask later.`);
    return erased;
  };
  const erased = await askEnough(others, ask, { enough: leastThreshold(vault.statement), grace: 0, clock: vault.clock });
  await forget(vault, create(ForgetRequestSchema, { rid, g, erasure: { erased } }));
}

async function forgetEverywhere(fleet: Fleet, rid: Uint8Array, g: Uint8Array, erasure: Erasure): Promise<Erased> {
  const { vault, participants } = fleet;
  const options = { enough: vault.statement.threshold, grace: FORGET_GRACE, clock: vault.clock };
  const shown = shownOf(await vault.guard.read(rid), g);
  const request = { rid, g, erasure, ...(shown ? { shown: renderShown(shown) } : {}) }; // replicas that missed it then drop what came before it
  const { answers } = await askAll(participants, askToForget(fleet, request), options);
  const inOrder = [...answers].sort(([a], [b]) => a - b);
  return {
    erased: inOrder.map(([, erased]) => erased).filter((erased) => erased !== undefined),
    pending: inOrder.filter(([, erased]) => !erased).map(([index]) => index),
  };
}

function askToForget(fleet: Fleet, request: MessageInitShape<typeof ForgetRequestSchema> & Pick<ForgetRequest, 'rid' | 'g'>) {
  const { fleet: name, epoch } = fleet.vault.statement;
  const message = create(ForgetRequestSchema, request);
  const { rid, g } = message;
  return async ({ index, calls }: Participant): Promise<Signed | undefined> => {
    const { erased } = await calls.forget(message);
    if (!erased) return undefined;
    const { signature } = expectOwn(fleet, erased, index);
    expectSigned(fleet, index, erasedTranscript({ fleet: name, epoch, index, rid, g }), signature, 'that it destroyed the generation');
    return erased;
  };
}
