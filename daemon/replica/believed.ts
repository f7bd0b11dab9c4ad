import { constantTimeEqual } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import type { HashedBody } from '../../protocol/body.ts';
import { SIGNATURE_LENGTH } from '../../protocol/signature.ts';
import type { Transcript } from '../../protocol/transcript.ts';
import { heldBy } from '../ledger/guarded.ts';
import { committedBody } from '../ledger/register.ts';
import { isSigned } from '../vault/p256.ts';
import type { Fleet } from './fleet.ts';

// A coordinator believes no replica's bare word, and no etcd's: a liar's answer is worth as much as none.

/** Throws REPLY_UNTRUSTED, and says which replica lies. What this replica signed itself is not verified. */
export function expectSigned({ vault, events }: Fleet, index: number, transcript: Transcript, signature: Uint8Array, what: string): void {
  if (index === vault.self.index) return;
  const key = vault.receiptKeys.get(index);
  if (key && signature.length === SIGNATURE_LENGTH && isSigned(transcript, signature, key)) return;
  throw untrusted({ events }, index, `${what} is not signed by it for what was asked`);
}

/** What `read` makes of a replica's answer. Throws REPLY_UNTRUSTED where it cannot be read, and says which replica sent it. */
export function expectWellFormed<T>({ events }: Pick<Fleet, 'events'>, index: number, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw untrusted({ events }, index, cause instanceof Error ? cause.message : String(cause), cause);
  }
}

/** Throws REPLY_UNTRUSTED where a replica speaks for another one. */
export function expectOwn<T extends { readonly index: number }>(fleet: Pick<Fleet, 'events'>, said: T | undefined, index: number): T {
  if (said?.index !== index) throw untrusted(fleet, index, 'it answered for another one');
  return said;
}

/** The body that has this hash: as this replica's guard has it, or as etcd has. Throws GENERATION_UNKNOWN, STORE_CORRUPT, STORE_UNAVAILABLE. */
export async function bodyWithHash({ vault: { guard, register } }: Fleet, rid: Uint8Array, bodyHash: Uint8Array): Promise<HashedBody> {
  const own = heldBy(await guard.read(rid)).find((held) => constantTimeEqual(held.bodyHash, bodyHash));
  if (own) return own;
  const { attempts, record } = await register.read(rid);
  const committed = attempts && committedBody(record, attempts);
  if (committed && constantTimeEqual(committed.bodyHash, bodyHash)) return committed;
  if (!attempts || !constantTimeEqual(attempts.bodyHash, bodyHash))
    throw new VaultError('GENERATION_UNKNOWN', 'The record has another generation by now; describe it and use its g.');
  throw new VaultError('STORE_CORRUPT', 'etcd’s record does not belong to its register; an operator must look.');
}

function untrusted({ events }: Pick<Fleet, 'events'>, index: number, why: string, cause?: unknown): VaultError {
  events.untrusted(index, why);
  return new VaultError('REPLY_UNTRUSTED', `Replica ${index} is not believed: ${why}.`, { cause });
}
