import { VaultError } from '../../primitives/errors.ts';
import { RecordState } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { isExhausted, notBefore } from '../ledger/attempts.ts';
import type { Account } from '../vault/account.ts';
import type { Vault } from '../vault/vault.ts';

/** What etcd says of a record: for information, since only guards decide. Throws RECORD_UNKNOWN. */
export async function describeRecord({ register, clock }: Vault, { rid }: Account) {
  const { attempts, record } = await register.readCurrent(rid);
  if (!attempts) throw new VaultError('RECORD_UNKNOWN', 'There is no such record; enrol first.');
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
    holders: record?.subRecords.map(({ index }) => index) ?? [],
    epoch: record?.body?.epoch ?? 0n,
    ownerKey: record?.body?.ownerKey ?? new Uint8Array(0),
  };
}
