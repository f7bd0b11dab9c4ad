import { create } from '@bufbuild/protobuf';
import { EraseRecordRequestSchema } from '../proto/gen/backupvault/v1/vault_pb.ts';
import { type Erasure, erasureOf, verifyErasure } from '../protocol/receipt.ts';
import type { Statement } from '../protocol/statement.ts';
import { verifyEach } from './claims.ts';
import { insist } from './insist.ts';
import { ridOf, type Vault } from './vault.ts';

/** What became of an erasure. */
export interface ErasureResult {
  /** Replicas that signed that nothing of the record is left with them, nor anything that could make it again. */
  readonly erased: readonly number[];
  /**
   * Replicas that serve the record no more, by the coordinator's word, and sign once the ticket secret of that hour is wiped: within an hour,
   * for a record that was enrolled in the hour before. `erase` may be called again for that.
   */
  readonly pending: readonly number[];
  /** What they signed, and the statement under which it is verified: proof of deletion, for an app that keeps it. */
  readonly statement: Statement;
  readonly proofs: readonly Erasure[];
}

/** Erases one generation. An answer that is not signed for it counts as none. */
export async function eraseGeneration(vault: Vault, recordId: string, g: Uint8Array): Promise<ErasureResult> {
  const { clock, transport, fleet } = vault;
  const reply = await insist(clock, () => transport.eraseRecord(create(EraseRecordRequestSchema, { recordId, g })));
  const statement = await fleet.statement();
  const rid = ridOf(vault, recordId);
  const { valid } = await verifyEach(reply.erased, ({ index, signature }) => {
    const erasure = erasureOf(index, rid, g, signature);
    verifyErasure(statement, erasure);
    return { index, erasure };
  });
  const erased = valid.map(({ index }) => index);
  const pending = reply.pending.filter((index) => !erased.includes(index));
  return { erased, pending, statement, proofs: valid.map(({ erasure }) => erasure) };
}
