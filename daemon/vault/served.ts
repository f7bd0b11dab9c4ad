import { constantTimeEqual } from '../../primitives/bytes.ts';
import { termsOf } from '../../protocol/terms.ts';
import { heldBy } from '../ledger/guarded.ts';
import type { Vault } from './vault.ts';

/** Nothing is spent on what nobody serves. Throws GENERATION_UNKNOWN for what this replica holds of an epoch that the statement lists no more. */
export async function expectServed({ guard, statement }: Vault, rid: Uint8Array, g: Uint8Array): Promise<void> {
  const own = heldBy(await guard.read(rid)).find(({ body }) => constantTimeEqual(body.g, g));
  if (own) termsOf(statement, own.body.epoch);
}
