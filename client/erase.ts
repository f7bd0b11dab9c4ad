import { create } from '@bufbuild/protobuf';
import { isVaultError } from '../primitives/errors.ts';
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

/**
 * Erases one generation. An answer that is not signed for it counts as none. Where fewer than all replicas signed, t−1 other coordinators are asked for the
 * same: the first one may have done nothing, and of t one is honest.
 */
export async function eraseGeneration(vault: Vault, recordId: string, g: Uint8Array): Promise<ErasureResult> {
  const { clock, transport, fleet } = vault;
  const rid = ridOf(vault, recordId);
  const ask = (turn: number) => insist(clock, () => transport.eraseRecord(create(EraseRecordRequestSchema, { recordId, g, turn })));
  const replies = [await ask(0)];
  const statement = await fleet.statement();
  const proofs = new Map<number, Erasure>();
  for (let turn = 1; ; turn++) {
    const { valid } = await verifyEach(replies.at(-1)?.erased ?? [], ({ index, signature }) => {
      const erasure = erasureOf(index, rid, g, signature);
      verifyErasure(statement, erasure);
      return { index, erasure };
    });
    for (const { index, erasure } of valid) proofs.set(index, erasure);
    if (proofs.size === statement.replicas.length || turn === statement.threshold) break;
    const reply = await ask(turn).catch(nothing);
    if (reply) replies.push(reply);
  }
  const erased = [...proofs.keys()].sort((a, b) => a - b);
  const pending = [...new Set(replies.flatMap((reply) => reply.pending))].filter((index) => !proofs.has(index)).sort((a, b) => a - b);
  return { erased, pending, statement, proofs: erased.map((index) => proofs.get(index) as Erasure) };
}

/** What one coordinator more is asked for is not needed. */
function nothing(error: unknown): undefined {
  if (!isVaultError(error)) throw error;
}
