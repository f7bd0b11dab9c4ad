import { create } from '@bufbuild/protobuf';
import { constantTimeEqual } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import { ShowRequestSchema } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import { SIGNATURE_LENGTH, type Signed } from '../../protocol/signature.ts';
import type { Transcript } from '../../protocol/transcript.ts';
import { heldBy, parseShown, type Shown } from '../ledger/guarded.ts';
import { preparedByEnough } from '../vault/evidence.ts';
import { isSigned } from '../vault/p256.ts';
import type { Vault } from '../vault/vault.ts';
import { askAll, expectEnough } from './fan-out.ts';
import type { Fleet } from './fleet.ts';
import type { Participant } from './participant.ts';

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

/**
 * The generation whose body has this hash, with `prepared` of t holders where there are so many: as this replica's guard has it, or as others show it. Throws
 * GENERATION_UNKNOWN where nobody has it, NOT_ENOUGH_REPLICAS where nobody who answers does.
 */
export async function generationWithHash(fleet: Fleet, rid: Uint8Array, bodyHash: Uint8Array): Promise<Shown> {
  const { vault, participants } = fleet;
  const own = heldBy(await vault.guard.read(rid)).find((held) => constantTimeEqual(held.bodyHash, bodyHash));
  if (own && own.prepared.length > 0) return own; // it is live
  const message = create(ShowRequestSchema, { rid, bodyHash });
  const ask = async ({ index, calls }: Participant) => {
    const { shown } = await calls.show(message);
    if (!shown) throw new VaultError('GENERATION_UNKNOWN', 'It does not hold the body.');
    const parsed = expectWellFormed(fleet, index, () => parseShown(shown));
    if (!constantTimeEqual(parsed.bodyHash, bodyHash)) throw untrusted(fleet, index, 'it showed another body than it was asked for');
    return parsed;
  };
  const isEnough = (answers: ReadonlyMap<number, Shown>) => preparedIn(vault, [...answers.values()]) !== undefined;
  const all = expectEnough(await askAll(participants, ask, { enough: isEnough, grace: 0, clock: vault.clock }), 1, participants.length);
  return { ...(all[0] as Shown), prepared: preparedIn(vault, all) ?? [] };
}

function preparedIn(vault: Vault, shown: readonly Shown[]): readonly Signed[] | undefined {
  const [first] = shown;
  return (
    first &&
    preparedByEnough(
      vault,
      first,
      shown.flatMap(({ prepared }) => prepared),
    )
  );
}

function untrusted({ events }: Pick<Fleet, 'events'>, index: number, why: string, cause?: unknown): VaultError {
  events.untrusted(index, why);
  return new VaultError('REPLY_UNTRUSTED', `Replica ${index} is not believed: ${why}.`, { cause });
}
