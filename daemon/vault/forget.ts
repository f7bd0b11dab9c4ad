import { create } from '@bufbuild/protobuf';
import { constantTimeEqual, exactly } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import { RecordState } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { type ForgetRequest, type ForgetResponse, ForgetResponseSchema } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import { HASH_LENGTH } from '../../protocol/body.ts';
import type { Vault } from './vault.ts';

/** Drops the generation of a record that etcd shows erased. Throws GENERATION_CONFLICT where it does not. */
export async function forget(vault: Vault, request: ForgetRequest): Promise<ForgetResponse> {
  const rid = exactly(HASH_LENGTH, request.rid, 'rid');
  if (!(await forgetErased(vault, rid)))
    throw new VaultError('GENERATION_CONFLICT', 'The record is not erased in etcd; its generation stays.');
  return create(ForgetResponseSchema);
}

/**
 * Whether etcd shows the record erased; if so, the generation that was erased is gone from the guard, and from its files, and so is one
 * before it. Throws OUTCOME_UNKNOWN where the files may still hold it.
 */
export async function forgetErased({ register, guard }: Vault, rid: Uint8Array): Promise<boolean> {
  const { attempts } = await register.read(rid);
  if (attempts?.state !== RecordState.ERASED) return false;
  const { live } = await guard.read(rid);
  // One of an earlier number is here where this replica missed the re-enrolment that came before the erasure, too.
  if (live && (constantTimeEqual(live.body.g, attempts.g) || live.number < attempts.number)) await guard.forget(rid, live.body.g);
  else await guard.expectPurged(rid); // an earlier attempt may have got so far
  return true;
}
