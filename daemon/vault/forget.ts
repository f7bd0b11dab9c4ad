import { create } from '@bufbuild/protobuf';
import { constantTimeEqual, exactly } from '../../primitives/bytes.ts';
import { isVaultError } from '../../primitives/errors.ts';
import { type Attempts, RecordState, type Signed } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { type ForgetRequest, type ForgetResponse, ForgetResponseSchema } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import { G_LENGTH, HASH_LENGTH, isSameLine } from '../../protocol/body.ts';
import { erasedTranscript } from '../../protocol/transcripts.ts';
import { covers, type End, type Generation, type Guarded, heldBy, lineOf, parseShown, type Shown, unknownEnd } from '../ledger/guarded.ts';
import { expectErasure } from './erasure.ts';
import { preparedByEnough } from './evidence.ts';
import type { Vault } from './vault.ts';

/** Destroys a generation for good, and signs that it did. Throws as `expectErasure` does, OUTCOME_UNKNOWN. */
export async function forget(vault: Vault, request: ForgetRequest): Promise<ForgetResponse> {
  const rid = exactly(HASH_LENGTH, request.rid, 'rid');
  const g = exactly(G_LENGTH, request.g, 'g');
  const erased = await destroy(vault, rid, g, request);
  return create(ForgetResponseSchema, erased ? { erased } : {});
}

/**
 * Undefined while the seed could still be made again, of a ticket and of a secret in this memory, and while something is held that may go with the
 * generation: whoever asks again later, or shows what it was, gets it.
 */
async function destroy(
  vault: Vault,
  rid: Uint8Array,
  g: Uint8Array,
  { erasure, ...request }: Pick<ForgetRequest, 'erasure' | 'shown'>,
): Promise<Signed | undefined> {
  const { statement, self, guard, tickets, token } = vault;
  const guarded = await guard.read(rid);
  const own = heldAs(guarded, g);
  const shown = own && own.prepared.length > 0 ? own : shownAs(vault, rid, g, request.shown);
  const end = (shown ?? own)?.body ?? unknownEnd(g);
  const over = guarded.destroyed.filter((each) => covers(each, end));
  const by = over.some((each) => each.byTenant && constantTimeEqual(each.g, g))
    ? undefined
    : await expectErasure(vault, rid, g, erasure, own?.body).catch((error: unknown) => {
        if (over.length > 0 && isVaultError(error)) return undefined; // what is over needs no evidence; the tenant's word takes more than that of others
        throw error;
      });
  const { madeWith, leaves } = await guard.destroy(rid, end, { newest: tickets.newest(), byTenant: by === 'tenant', shown });
  if (leaves || tickets.keeps(madeWith)) return undefined;
  const { fleet, epoch } = statement;
  const { index } = self;
  const signature = await token.sign(erasedTranscript({ fleet, epoch, index, rid, g }).digest);
  return { $typeName: 'backupvault.v1.Signed', index, signature };
}

const heldAs = (guarded: Guarded, g: Uint8Array): Generation | undefined =>
  heldBy(guarded).find(({ body }) => constantTimeEqual(body.g, g));

/** The generation as whoever asks has it, if t replicas signed for it: its line, and its place there, are not his word. */
function shownAs(vault: Vault, rid: Uint8Array, g: Uint8Array, message: ForgetRequest['shown']): Shown | undefined {
  const shown = message && parseShown(message);
  if (!shown || !constantTimeEqual(shown.body.rid, rid) || !constantTimeEqual(shown.body.g, g)) return undefined;
  const prepared = preparedByEnough(vault, shown, shown.prepared);
  return prepared && { ...shown, prepared };
}

/**
 * What etcd’s register means to this replica. `unshown`: this generation is held here, and etcd has it as over, but nothing that can be verified
 * now shows that, as when the grant has expired: then it stays until others show it.
 */
export type Tombstone = { readonly state: 'none' | 'gone' } | { readonly state: 'unshown'; readonly held: Generation };

/** Destroys what etcd shows erased, if it is shown by more than etcd's word. Throws OUTCOME_UNKNOWN where files may still hold it. */
export async function forgetErased(vault: Vault, rid: Uint8Array): Promise<Tombstone> {
  const { register, guard, tickets } = vault;
  const attempts = await register.read(rid);
  if (!attempts) return { state: 'none' };
  const guarded = await guard.read(rid);
  const held = heldBy(guarded).find(({ body }) => isEnded(attempts, guarded, body));
  if (held) {
    const { g } = held.body;
    let by: Awaited<ReturnType<typeof expectErasure>>;
    try {
      const erasure = constantTimeEqual(g, attempts.g) ? attempts.erasure : undefined; // it is for that one alone
      by = await expectErasure(vault, rid, g, erasure, held.body);
    } catch (error) {
      if (isVaultError(error)) return { state: 'unshown', held };
      throw error;
    }
    await guard.destroy(rid, held.body, { newest: tickets.newest(), byTenant: by === 'tenant' });
  }
  if (attempts.state !== RecordState.ERASED) return { state: 'none' };
  await guard.expectPurged(rid); // an earlier attempt may have got so far
  return { state: 'gone' };
}

/** As etcd has it: by a tombstone of its line, or since another line took its place. */
function isEnded(attempts: Attempts, guarded: Guarded, body: End): boolean {
  if (attempts.state === RecordState.ERASED) return covers(attempts, body);
  const line = lineOf(guarded);
  return line !== undefined && constantTimeEqual(line, body.line) && !isSameLine(attempts, body);
}
