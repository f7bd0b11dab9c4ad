import { create } from '@bufbuild/protobuf';
import type { Millis } from '../primitives/brand.ts';
import { constantTimeEqual } from '../primitives/bytes.ts';
import { isVaultError, VaultError } from '../primitives/errors.ts';
import { RecordState } from '../proto/gen/backupvault/v1/record_pb.ts';
import {
  DescribeRecordRequestSchema,
  type DescribeRecordResponse,
  HoldState,
  type HeldAttempt as Told,
} from '../proto/gen/backupvault/v1/vault_pb.ts';
import { G_LENGTH, HASH_LENGTH } from '../protocol/body.ts';
import { insist } from './insist.ts';
import type { Vault } from './vault.ts';

/** What one fleet says of a record. It is a coordinator's word, for display and to name the generation: no safety rests on it. */
export interface Described {
  readonly state: 'live' | 'exhausted' | 'erased';
  readonly g: Uint8Array;
  /** Of the generation: what replaces it is the next one. */
  readonly number: bigint;
  /** What replaces it while it is live is of the same line. */
  readonly line: Uint8Array;
  readonly attemptsUsed: number;
  readonly attemptsLimit: number;
  /** Earliest next attempt; undefined: now. */
  readonly notBefore: Millis | undefined;
  /** Replicas that hold a share. */
  readonly holders: readonly number[];
  /** Ed25519 public key in the record's body; empty once erased. */
  readonly ownerKey: Uint8Array;
  /** Attempts whose code was right, by what holders say: the app shows them, and asks whether they are the user's. One holder's word is enough to ask. */
  readonly held: readonly HeldAttempt[];
  /** How many of `holders` a recovery needs by the statement, if the record is of the epoch that the coordinator says; and how many replicas the fleet has. */
  readonly threshold: number;
  readonly replicas: number;
}

/** An attempt that the record's hold keeps back, or kept back. */
export interface HeldAttempt {
  readonly attempt: number;
  /** 32 bytes: the name of its point. */
  readonly pointHash: Uint8Array;
  /** 33 bytes: B of the proof; empty where none was made. Whoever else knows the code may have proved the same point with another one: then there are two of these. */
  readonly blindedBase: Uint8Array;
  /** The latest time that a replica gives, by its clock; 0 where none was told of a proof. */
  readonly until: Millis;
  /** The replicas that say so. */
  readonly held: readonly number[];
  readonly vetoed: readonly number[];
  readonly approved: readonly number[];
  readonly released: readonly number[];
}

/** Throws RECORD_UNKNOWN, FLEET_UNTRUSTED, STATEMENT_MISMATCH if no replica serves under `leastEpoch`, and errors of the transport. */
export async function describe(vault: Vault, recordId: string, leastEpoch = vault.fleet.knownEpoch): Promise<Described> {
  const { fleet, transport, clock } = vault;
  const reply = await insist(clock, () =>
    transport.describeRecord(create(DescribeRecordRequestSchema, { recordId, knownEpoch: fleet.knownEpoch, leastEpoch })),
  );
  const statement = reply.statement.length > 0 ? await fleet.learn(reply) : await fleet.statement();
  const { threshold } = statement.terms.get(Number(reply.epoch)) ?? statement;
  return { ...parse(reply), threshold, replicas: statement.replicas.length };
}

/** Undefined for a record that never was. An error brings no statement, so the fleet's present one is asked for. */
export async function describeIfKnown(vault: Vault, recordId: string): Promise<Described | undefined> {
  try {
    return await describe(vault, recordId);
  } catch (error) {
    if (!isVaultError(error, 'RECORD_UNKNOWN')) throw error;
    await vault.fleet.renew();
    return undefined;
  }
}

const states = {
  [RecordState.LIVE]: 'live',
  [RecordState.EXHAUSTED]: 'exhausted',
  [RecordState.ERASED]: 'erased',
} as const;

function parse(reply: DescribeRecordResponse): Omit<Described, 'threshold' | 'replicas'> {
  if (reply.state === RecordState.UNSPECIFIED) throw new VaultError('RECORD_UNKNOWN', 'There is no such record; enrol first.');
  const state = states[reply.state];
  if (!state || reply.g.length !== G_LENGTH || reply.line.length !== G_LENGTH)
    throw new VaultError('REPLY_UNTRUSTED', 'The description of the record makes no sense.');
  const { g, number, line, attemptsUsed, attemptsLimit, notBeforeMs, holders, ownerKey } = reply;
  const notBefore = notBeforeMs === 0n ? undefined : Number(notBeforeMs);
  return { state, g, number, line, attemptsUsed, attemptsLimit, notBefore, holders, ownerKey, held: heldIn(reply) };
}

/** What is not of the right form is passed over. Who saw no proof of a point tells of each that others saw. */
function heldIn({ held }: DescribeRecordResponse): HeldAttempt[] {
  const told = held.filter(({ pointHash }) => pointHash.length === HASH_LENGTH);
  const isProved = ({ blindedBase }: Told) => blindedBase.length > 0;
  const isOf = (one: Told, other: Told) => constantTimeEqual(one.pointHash, other.pointHash);
  const isOne = (one: Told, other: Told) => isOf(one, other) && constantTimeEqual(one.blindedBase, other.blindedBase);
  const named = told.filter((each) => isProved(each) || !told.some((other) => isProved(other) && isOf(each, other)));
  const first = named.filter((each, i) => named.findIndex((other) => isOne(each, other)) === i);
  return first.map((one) => {
    const of = told.filter((each) => isOne(each, one) || (!isProved(each) && isOf(each, one)));
    const by = (state: HoldState) =>
      [...new Set(of.filter((each) => each.state === state).map(({ index }) => index))].sort((a, b) => a - b);
    return {
      attempt: Math.max(...of.map(({ attempt }) => attempt)),
      pointHash: one.pointHash,
      blindedBase: one.blindedBase,
      until: Math.max(...of.map(({ untilMs }) => Number(untilMs))),
      held: by(HoldState.HELD),
      vetoed: by(HoldState.VETOED),
      approved: by(HoldState.APPROVED),
      released: by(HoldState.RELEASED),
    };
  });
}
