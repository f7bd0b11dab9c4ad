import { create } from '@bufbuild/protobuf';
import { constantTimeEqual, exactly } from '../../primitives/bytes.ts';
import { isVaultError } from '../../primitives/errors.ts';
import { type Erasure, RecordState, type Signed } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { type ForgetRequest, type ForgetResponse, ForgetResponseSchema } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import { type Body, G_LENGTH, HASH_LENGTH } from '../../protocol/body.ts';
import { erasedTranscript } from '../../protocol/transcripts.ts';
import type { Guarded } from '../ledger/guarded.ts';
import { heldBy } from '../ledger/guarded.ts';
import { expectErasure } from './erasure.ts';
import type { Vault } from './vault.ts';

/** Destroys a generation for good, and signs that it did. Throws as `expectErasure` does, OUTCOME_UNKNOWN. */
export async function forget(vault: Vault, request: ForgetRequest): Promise<ForgetResponse> {
  const rid = exactly(HASH_LENGTH, request.rid, 'rid');
  const g = exactly(G_LENGTH, request.g, 'g');
  const erased = await destroy(vault, rid, g, request.erasure);
  return create(ForgetResponseSchema, erased ? { erased } : {});
}

/** Undefined while the seed could still be made again, of a ticket and of a secret in this memory: whoever asks again later gets it. */
async function destroy(vault: Vault, rid: Uint8Array, g: Uint8Array, erasure: Erasure | undefined): Promise<Signed | undefined> {
  const { statement, self, guard, tickets, token } = vault;
  const guarded = await guard.read(rid);
  if (!isDestroyed(guarded, g)) await expectErasure(vault, rid, g, erasure, heldAs(guarded, g));
  const { madeWith } = await guard.destroy(rid, g, tickets.newest());
  if (tickets.keeps(madeWith)) return undefined;
  const { fleet, epoch } = statement;
  const { index } = self;
  const signature = await token.sign(erasedTranscript({ fleet, epoch, index, rid, g }).digest);
  return { $typeName: 'backupvault.v1.Signed', index, signature };
}

const heldAs = (guarded: Guarded, g: Uint8Array): Body | undefined =>
  heldBy(guarded).find(({ body }) => constantTimeEqual(body.g, g))?.body;

const isDestroyed = ({ destroyed }: Guarded, g: Uint8Array): boolean => destroyed !== undefined && constantTimeEqual(destroyed.g, g);

/**
 * What a tombstone in etcd means to this replica. `unshown`: what it says was erased is held here, and nothing that can be verified now
 * shows that it was, as when the grant has expired: then it stays until others show it.
 */
export type Tombstone = { readonly state: 'none' | 'gone' } | { readonly state: 'unshown'; readonly g: Uint8Array };

/** Destroys what etcd shows erased, if it is shown by more than etcd's word. Throws OUTCOME_UNKNOWN where files may still hold it. */
export async function forgetErased(vault: Vault, rid: Uint8Array): Promise<Tombstone> {
  const { register, guard, tickets } = vault;
  const { attempts } = await register.read(rid);
  if (attempts?.state !== RecordState.ERASED) return { state: 'none' };
  const { g, erasure } = attempts;
  const guarded = await guard.read(rid);
  const held = heldAs(guarded, g);
  if (!isDestroyed(guarded, g) && held) {
    try {
      await expectErasure(vault, rid, g, erasure, held);
    } catch (error) {
      if (isVaultError(error)) return { state: 'unshown', g };
      throw error;
    }
    await guard.destroy(rid, g, tickets.newest());
  }
  await guard.expectPurged(rid); // an earlier attempt may have got so far
  return { state: 'gone' };
}
