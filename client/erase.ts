import { create } from '@bufbuild/protobuf';
import { type ErrorCode, isVaultError, type VaultError } from '../primitives/errors.ts';
import { EraseRecordRequestSchema } from '../proto/gen/backupvault/v1/vault_pb.ts';
import { type Erasure, erasureOf, verifyErasure } from '../protocol/receipt.ts';
import type { Statement } from '../protocol/statement.ts';
import { type Destruction, destructionBy } from '../protocol/terms.ts';
import { verifyEach } from './claims.ts';
import { insist } from './insist.ts';
import { ridOf, type Vault } from './vault.ts';

const UNKNOWN: readonly ErrorCode[] = ['GENERATION_UNKNOWN', 'RECORD_UNKNOWN'];

/** What became of an erasure. */
export interface ErasureResult {
  /** What was erased. The proof of a replica that was away can be had by this name, also when the record was enrolled again since. */
  readonly g: Uint8Array;
  /** Replicas that signed that no seed of the record is left with them, nor anything that could make one again. Its body, which opens nothing, may be. */
  readonly erased: readonly number[];
  /**
   * Replicas that serve the generation no more, by the coordinator's word, and sign once the ticket secret of that hour is wiped: within an hour,
   * for a record that was enrolled in the hour before; one that missed the enrolment, once another one shows it what that was. `erase` may be called again for that.
   */
  readonly pending: readonly number[];
  /** What follows from their word. */
  readonly reached: Destruction;
  /** What they signed, and the statement under which it is verified: proof of deletion, for an app that keeps it. */
  readonly statement: Statement;
  readonly proofs: readonly Erasure[];
}

/**
 * Erases one generation. An answer that is not signed for it counts as none. Where fewer than all replicas signed, t−1 other coordinators are asked for the
 * same: the first one may have done nothing, or have been away; of t one is honest, and one was there. Throws what all of them said where all refused.
 */
export async function eraseGeneration(vault: Vault, recordId: string, g: Uint8Array): Promise<ErasureResult> {
  const { clock, transport, fleet } = vault;
  const rid = ridOf(vault, recordId);
  const ask = (turn: number) => insist(clock, () => transport.eraseRecord(create(EraseRecordRequestSchema, { recordId, g, turn })));
  const statement = await fleet.statement();
  const proofs = new Map<number, Erasure>();
  const named = new Set<number>();
  const refusals: VaultError[] = [];
  for (let turn = 0; turn < statement.threshold && proofs.size < statement.replicas.length; turn++) {
    const reply = await ask(turn).catch((error: unknown) => {
      // Whoever was away may know no such generation. All else a frontend has asked of others already.
      if (!isVaultError(error) || (turn === 0 && !UNKNOWN.includes(error.code))) throw error;
      refusals.push(error);
    });
    const { valid } = await verifyEach(reply?.erased ?? [], ({ index, signature }) => {
      const erasure = erasureOf(index, rid, g, signature);
      verifyErasure(statement, erasure);
      return { index, erasure };
    });
    for (const { index, erasure } of valid) proofs.set(index, erasure);
    for (const index of reply?.pending ?? []) named.add(index);
  }
  if (refusals.length === statement.threshold) throw refusals[0];
  const inOrder = (indices: Iterable<number>) => [...indices].sort((a, b) => a - b);
  const erased = inOrder(proofs.keys());
  const pending = inOrder([...named].filter((index) => !proofs.has(index)));
  return {
    g,
    erased,
    pending,
    reached: destructionBy(statement, new Set(erased)),
    statement,
    proofs: erased.map((index) => proofs.get(index) as Erasure),
  };
}
