import { create } from '@bufbuild/protobuf';
import { exactly } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import {
  type GiveBackRequest,
  type GiveBackResponse,
  GiveBackResponseSchema,
  type KeepRequest,
  type KeepResponse,
  KeepResponseSchema,
} from '../../proto/gen/backupvault/v1/replica_pb.ts';
import { G_LENGTH, HASH_LENGTH } from '../../protocol/body.ts';
import { parseSeedShare, renderSeedShare } from '../ledger/seed-share.ts';
import { expectSameEpoch } from './account.ts';
import { adoptList } from './list.ts';
import type { Vault } from './vault.ts';

/** Keeps a share of the seed of replica `owner`, which is the one that asks, and a list that is newer than what is here. Throws STATEMENT_MISMATCH, MALFORMED, GENERATION_UNKNOWN. */
export async function keep(vault: Vault, owner: number, { epoch, share, ...request }: KeepRequest): Promise<KeepResponse> {
  expectSameEpoch(vault, epoch);
  if (owner === vault.self.index) throw new VaultError('MALFORMED', 'A replica keeps no share of its own seed.');
  const guard = guardOf(vault, owner); // not by its own word
  const rid = exactly(HASH_LENGTH, request.rid, 'rid');
  await vault.guard.keep(rid, { ...parseSeedShare(share), owner, guard });
  return create(KeepResponseSchema, {
    listMissing: !(await adoptList(vault, rid, exactly(G_LENGTH, share?.g ?? new Uint8Array(0), 'share.g'), request.list)),
  });
}

/**
 * Gives replica `owner`, which is the one that asks, the shares that it dealt with a guard that is lost, by the statement: to nobody else, and not while it has
 * them itself. Throws STATEMENT_MISMATCH, MALFORMED.
 */
export async function giveBack(vault: Vault, owner: number, { rid, epoch }: GiveBackRequest): Promise<GiveBackResponse> {
  expectSameEpoch(vault, epoch);
  const kept = await vault.guard.kept(exactly(HASH_LENGTH, rid, 'rid'));
  const guard = guardOf(vault, owner);
  const shares = kept.filter((each) => each.owner === owner && each.guard < guard).map(renderSeedShare);
  return create(GiveBackResponseSchema, { shares });
}

function guardOf({ statement }: Vault, index: number): number {
  const replica = statement.replicas.find((each) => each.index === index);
  if (!replica) throw new VaultError('CALLER_UNKNOWN', `The statement names no replica ${index}.`);
  return replica.guardIncarnation;
}
