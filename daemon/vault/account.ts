import type { Bytes } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import type * as pb from '../../proto/gen/backupvault/v1/replica_pb.ts';
import { parseRecordId, ridFor } from '../../protocol/record-id.ts';
import type { Statement } from '../../protocol/statement.ts';
import type { Vault } from './vault.ts';

/** A tenant's account, by the name that the protocol knows it under. */
export interface Account {
  readonly tenant: string;
  readonly recordId: string;
  /** 32 bytes, transcript "record". */
  readonly rid: Bytes;
}

/** Throws MALFORMED, FOREIGN_TENANT. */
export function parseAccount(vault: Vault, account: Pick<pb.Account, 'tenant' | 'recordId'> | undefined): Account {
  if (!account) throw new VaultError('MALFORMED', 'The account is missing.');
  const { tenant } = account;
  if (!vault.grants.knows(tenant)) throw new VaultError('FOREIGN_TENANT', 'This fleet does not serve that tenant.');
  const recordId = parseRecordId(account.recordId);
  return { tenant, recordId, rid: ridFor(vault.statement.fleet, tenant, recordId) };
}

/**
 * After a restore, what one epoch counted must not mix with what another one remembers: only replicas under the same statement work
 * together. Throws STATEMENT_MISMATCH.
 */
export function expectSameEpoch({ statement }: Vault, epoch: bigint): void {
  if (epoch !== BigInt(statement.epoch)) throw mismatch(statement, epoch);
}

/** Throws STATEMENT_MISMATCH. */
export function expectNoEarlierEpoch({ statement }: Vault, least: bigint): void {
  if (BigInt(statement.epoch) < least) throw mismatch(statement, least);
}

const mismatch = ({ epoch }: Statement, asked: bigint) =>
  new VaultError('STATEMENT_MISMATCH', `This replica serves under epoch ${epoch}, who asks it under ${asked}.`);
