import { VaultError } from '../../primitives/errors.ts';
import type { Erasure } from '../../proto/gen/backupvault/v1/record_pb.ts';
import type { Body } from '../../protocol/body.ts';
import { erasedTranscript, eraseTranscript, spentTranscript } from '../../protocol/transcripts.ts';
import { isSignedByEnough } from './evidence.ts';
import type { Vault } from './vault.ts';

/**
 * Whether a generation is to be destroyed: its tenant says so, or t replicas do, of which one that tells the truth was shown it. etcd's or a
 * coordinator's word alone destroys nothing. `held`: its body, where this replica has it. That it is spent t of its holders must say, each by
 * its own clock; that it is destroyed so many that one tells the truth, since fewer than t others may be left. Throws ERASURE_REFUSED,
 * GRANT_REFUSED, GRANT_EXPIRED. Returns who says it.
 */
export async function expectErasure(
  vault: Vault,
  rid: Uint8Array,
  g: Uint8Array,
  erasure: Erasure | undefined,
  held?: Body,
): Promise<'tenant' | 'replicas'> {
  if (!erasure) throw new VaultError('ERASURE_REFUSED', 'Nothing shows that this generation is to be destroyed.');
  const { fleet, epoch } = vault.statement;
  const view = (index: number) => ({ fleet, epoch, index, rid, g });
  const served = held && vault.statement.terms.has(Number(held.epoch)) ? held : undefined;
  if (isSignedByEnough(vault, erasure.spent, (index) => spentTranscript(view(index)), served)) return 'replicas';
  if (isSignedByEnough(vault, erasure.erased, (index) => erasedTranscript(view(index)))) return 'replicas';
  if (erasure.grant === '') throw new VaultError('ERASURE_REFUSED', 'Too few replicas say that this generation is to be destroyed.');
  await vault.grants.verify(erasure.grant, { fleet, operation: 'erase', rid, g, authorises: eraseTranscript(rid, g).digest });
  return 'tenant';
}
