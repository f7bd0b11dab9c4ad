import { VaultError } from '../../primitives/errors.ts';
import { RecordState } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { isExhausted, notBefore } from '../ledger/attempts.ts';
import type { Account } from '../vault/account.ts';
import { generationWithHash } from './believed.ts';
import type { Fleet } from './fleet.ts';
import { heldOf } from './holds.ts';
import { listsBeside } from './lists.ts';

/** What etcd says of a record, and the body that it names: for information, since only guards decide. Throws RECORD_UNKNOWN, NOT_ENOUGH_REPLICAS. */
export async function describeRecord(fleet: Fleet, { rid }: Account, withLists: boolean) {
  const { register, clock } = fleet.vault;
  const attempts = await register.readCurrent(rid);
  if (!attempts) throw new VaultError('RECORD_UNKNOWN', 'There is no such record; enrol first.');
  const isErased = attempts.state === RecordState.ERASED;
  const body = isErased ? undefined : (await generationWithHash(fleet, rid, attempts.bodyHash)).body;
  const now = clock.now();
  const earliest = notBefore(attempts, now);
  return {
    state: isExhausted(attempts) ? RecordState.EXHAUSTED : attempts.state,
    g: attempts.g,
    number: attempts.number,
    line: attempts.line,
    attemptsUsed: attempts.points.length,
    attemptsLimit: attempts.limit,
    notBeforeMs: earliest > now ? BigInt(Math.ceil(earliest)) : 0n,
    holders: isErased ? [] : attempts.holders,
    epoch: body?.epoch ?? 0n,
    ownerKey: body?.ownerKey ?? new Uint8Array(0),
    held: body ? await heldOf(fleet, body) : [],
    lists: body && withLists ? await listsBeside(fleet, body) : [],
  };
}
