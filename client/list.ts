import { create } from '@bufbuild/protobuf';
import { ed25519 } from '@noble/curves/ed25519.js';
import { type Bytes, constantTimeEqual } from '../primitives/bytes.ts';
import { VaultError } from '../primitives/errors.ts';
import type { SecretBytes } from '../primitives/secret-bytes.ts';
import { OwnerListSchema } from '../proto/gen/backupvault/v1/record_pb.ts';
import {
  DescribeRecordRequestSchema,
  type DescribeRecordResponse,
  type Listed,
  PutListRequestSchema,
} from '../proto/gen/backupvault/v1/vault_pb.ts';
import { isSameList, listDigest, type OwnerList, parseOwnerList } from '../protocol/owner-list.ts';
import { expectSigned } from '../protocol/signature.ts';
import { replicaOf, type Statement } from '../protocol/statement.ts';
import { termsOf } from '../protocol/terms.ts';
import { listedTranscript } from '../protocol/transcripts.ts';
import { expectEnough, verifyEach } from './claims.ts';
import { ownerKey } from './derive.ts';
import { underNewestStatement } from './describe.ts';
import { insistInTurn, isUntrusted } from './insist.ts';
import { ridOf, type Vault } from './vault.ts';

/** What lies beside a record, as t holders signed. */
export interface Beside {
  readonly g: Uint8Array;
  /** Of the record's enrolment. */
  readonly epoch: bigint;
  /** Of the record: one of t tells the truth. Whoever has the backup key sees whether it is its own. */
  readonly ownerKey: Uint8Array;
  /** The newest that the owner signed, of those that these holders have. */
  readonly list: OwnerList | undefined;
  /** Others with the same counter, where two devices wrote at the same time: only one of them may have been told that it did. Whoever writes next looks at them, too. */
  readonly rivals: readonly OwnerList[];
}

export interface ListInput {
  readonly recordId: string;
  readonly backupKey: SecretBytes;
  /** At most 8 KiB. */
  readonly content: Uint8Array;
  /** One more than that of the list which was read, 1 for the first. */
  readonly counter: bigint;
}

/** Needs no code, costs nothing. Throws RECORD_UNKNOWN, NOT_ENOUGH_REPLICAS, REPLY_UNTRUSTED. */
export async function readBeside(vault: Vault, recordId: string): Promise<Beside> {
  const { transport, clock, fleet } = vault;
  const { replicas } = await fleet.statement();
  return insistInTurn(clock, {
    replicas: replicas.length,
    send: (turn) => {
      const known = { knownEpoch: fleet.knownEpoch, leastEpoch: fleet.knownEpoch };
      return transport.describeRecord(create(DescribeRecordRequestSchema, { recordId, ...known, withLists: true, turn }));
    },
    read: async (reply) => {
      const statement = reply.statement.length > 0 ? await fleet.learn(reply) : await fleet.statement();
      return believe(statement, ridOf(vault, recordId), reply);
    },
    isUntrue: isUntrusted,
  });
}

/** Throws as `readBeside`. */
async function believe(statement: Statement, rid: Uint8Array, reply: DescribeRecordResponse): Promise<Beside> {
  const { g, ownerKey: owner, epoch } = reply;
  if (owner.length === 0) throw new VaultError('RECORD_UNKNOWN', 'There is no such record, or it was erased: nothing lies beside it.');
  const claims = await verifyEach(reply.lists, (listed) =>
    verifyListed(statement, { rid, g, epoch, owner }, listed, listed.list && parseOwnerList(listed.list)),
  );
  expectEnough(claims, termsOf(statement, epoch).threshold, 'answers about the list');
  const isOwners = (list: OwnerList) => ed25519.verify(list.signature, listDigest(statement.fleet, rid, list).digest, owner);
  const [list, ...rivals] = newestOf(claims.valid.flatMap((claim) => claim.list ?? []).filter(isOwners));
  return { g, epoch, ownerKey: owner, list, rivals };
}

/** Of the highest counter, each once; that of more holders first. */
function newestOf(lists: readonly OwnerList[]): OwnerList[] {
  const newest = lists.filter(({ counter }) => lists.every((other) => other.counter <= counter));
  const count = (list: OwnerList) => newest.filter((other) => isSameList(other, list)).length;
  const each = newest.filter((list, i) => newest.findIndex((other) => isSameList(other, list)) === i);
  return each.sort((a, b) => count(b) - count(a));
}

interface Named {
  readonly rid: Uint8Array;
  readonly g: Uint8Array;
  /** Of the enrolment. */
  readonly epoch: bigint;
  /** Owner key. */
  readonly owner: Uint8Array;
}

/** Throws REPLY_UNTRUSTED. */
function verifyListed(
  statement: Statement,
  { rid, g, epoch: of, owner }: Named,
  { index, signature }: Listed,
  list: OwnerList | undefined,
) {
  const { fleet, epoch } = statement;
  const digest = list ? listDigest(fleet, rid, list).digest : new Uint8Array(0);
  const transcript = listedTranscript({ fleet, epoch, index, rid, g }, of, owner, digest);
  expectSigned(replicaOf(statement, index), transcript, signature, 'What lies beside the record');
  return { index, list };
}

/**
 * Signs it, and has t holders keep it at least. Returns who does. Throws OWNER_REFUSED where the record has another backup key, LIST_OUTDATED where another
 * device wrote meanwhile, MALFORMED, NOT_ENOUGH_REPLICAS.
 */
export async function writeList(vault: Vault, { recordId, backupKey, content, counter }: ListInput): Promise<readonly number[]> {
  const rid = ridOf(vault, recordId);
  const beside = await readBeside(vault, recordId);
  expectOwnersKey(vault, recordId, beside, backupKey);
  const signature = ownerKey(backupKey, rid).sign(listDigest(vault.fleet.name, rid, { counter, content: content as Bytes }));
  const list = parseOwnerList(create(OwnerListSchema, { counter, content, signature }));
  return underNewestStatement(vault, recordId, () => putList(vault, recordId, beside, list));
}

/** Throws OWNER_REFUSED. */
export function expectOwnersKey(vault: Vault, recordId: string, beside: Beside, backupKey: SecretBytes): void {
  if (constantTimeEqual(beside.ownerKey, ownerKey(backupKey, ridOf(vault, recordId)).publicKey)) return;
  throw new VaultError('OWNER_REFUSED', 'The record has another backup key: its list is not yours.');
}

/** What its owner signed, whoever carries it. Throws as `writeList`. */
export async function putList(
  vault: Vault,
  recordId: string,
  { g, epoch, ownerKey: owner }: Beside,
  list: OwnerList,
): Promise<readonly number[]> {
  const { transport, clock, fleet } = vault;
  const statement = await fleet.statement();
  const rid = ridOf(vault, recordId);
  return insistInTurn(clock, {
    replicas: statement.replicas.length,
    send: (turn) => transport.putList(create(PutListRequestSchema, { recordId, g, list, turn, epoch: BigInt(statement.epoch) })),
    read: async ({ lists }) => {
      const claims = await verifyEach(lists, (listed) => verifyListed(statement, { rid, g, epoch, owner }, listed, list));
      expectEnough(claims, termsOf(statement, epoch).threshold, 'replicas that keep the list');
      return claims.valid.map(({ index }) => index);
    },
    isUntrue: isUntrusted,
  });
}
