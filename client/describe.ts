import { create } from '@bufbuild/protobuf';
import { sha256 } from '@noble/hashes/sha2.js';
import type { Millis } from '../primitives/brand.ts';
import { concat, toHex } from '../primitives/bytes.ts';
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
  readonly g: Uint8Array;
  /** As most of these replicas count it. */
  readonly attempt: number;
  /** Names the proof. The device that made it has the same with its HELD: the user compares before they approve, since nobody signs what is told here. */
  readonly fingerprint: string;
  /** 32 bytes: the name of its point. */
  readonly pointHash: Uint8Array;
  /** 33 bytes: B of the proof; empty where none was made. Whoever else knows the code may have proved the same point with another one: then there are two of these. */
  readonly blindedBase: Uint8Array;
  /** When t of them will have released, by their clocks; 0 where none was told of a proof. */
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
  return { ...parse(reply, threshold), threshold, replicas: statement.replicas.length };
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

function parse(reply: DescribeRecordResponse, threshold: number): Omit<Described, 'threshold' | 'replicas'> {
  if (reply.state === RecordState.UNSPECIFIED) throw new VaultError('RECORD_UNKNOWN', 'There is no such record; enrol first.');
  const state = states[reply.state];
  if (!state || reply.g.length !== G_LENGTH || reply.line.length !== G_LENGTH)
    throw new VaultError('REPLY_UNTRUSTED', 'The description of the record makes no sense.');
  const { g, number, line, attemptsUsed, attemptsLimit, notBeforeMs, holders, ownerKey } = reply;
  const notBefore = notBeforeMs === 0n ? undefined : Number(notBeforeMs);
  return { state, g, number, line, attemptsUsed, attemptsLimit, notBefore, holders, ownerKey, held: heldIn(reply, threshold) };
}

const MOST_TOLD = 9 * 100; // that nine holders may say
const MOST_TIME = 8.64e15; // of a Date

/** What is not of the right form is passed over. Who saw no proof of a point tells of each that others saw. */
function heldIn({ g, held, attemptsLimit }: DescribeRecordResponse, threshold: number): HeldAttempt[] {
  const told = held.slice(0, MOST_TOLD).filter((each) => isWellFormed(each, attemptsLimit));
  const proved = grouped(told.filter(isProved), (each) => `${toHex(each.pointHash)} ${toHex(each.blindedBase)}`);
  const unproved = grouped(
    told.filter((each) => !isProved(each)),
    ({ pointHash }) => toHex(pointHash),
  );
  const groups = [...proved.values()].map((of) => [...of, ...(unproved.get(toHex((of[0] as Told).pointHash)) ?? [])]);
  const points = new Set([...proved.keys()].map((name) => name.split(' ')[0]));
  return [...groups, ...[...unproved].filter(([point]) => !points.has(point)).map(([, of]) => of)].map((of) => heldOf(g, of, threshold));
}

function grouped(all: readonly Told[], nameOf: (each: Told) => string): Map<string, Told[]> {
  const groups = new Map<string, Told[]>();
  for (const each of all) groups.set(nameOf(each), [...(groups.get(nameOf(each)) ?? []), each]);
  return groups;
}

const isProved = ({ blindedBase }: Told): boolean => blindedBase.length > 0;

const isWellFormed = ({ pointHash, blindedBase, attempt, untilMs }: Told, limit: number): boolean =>
  pointHash.length === HASH_LENGTH && [0, 33].includes(blindedBase.length) && attempt >= 1 && attempt <= limit && untilMs <= MOST_TIME;

/** One liar among the holders moves neither the number, which most say, nor the time at which t will have released. */
function heldOf(g: Uint8Array, of: readonly Told[], threshold: number): HeldAttempt {
  const { pointHash, blindedBase } = of[0] as Told;
  const by = (state: HoldState) => [...new Set(of.filter((each) => each.state === state).map(({ index }) => index))].sort((a, b) => a - b);
  const ends = of.filter(isProved).map(({ untilMs }) => Number(untilMs));
  const said = (number: number) => of.filter(({ attempt }) => attempt === number).length;
  return {
    g,
    attempt: of.map(({ attempt }) => attempt).reduce((most, number) => (said(number) > said(most) ? number : most)),
    fingerprint: fingerprintOf(pointHash, blindedBase),
    pointHash,
    blindedBase,
    until: ends.sort((a, b) => a - b)[Math.min(threshold, ends.length) - 1] ?? 0,
    held: by(HoldState.HELD),
    vetoed: by(HoldState.VETOED),
    approved: by(HoldState.APPROVED),
    released: by(HoldState.RELEASED),
  };
}

/** For people who compare what two devices show: the device that recovers, and one that approves. 32 bits of SHA-256, as `3f9a 1c2b`. */
export function fingerprintOf(pointHash: Uint8Array, blindedBase: Uint8Array): string {
  const hex = toHex(sha256(concat(pointHash, blindedBase)));
  return `${hex.slice(0, 4)} ${hex.slice(4, 8)}`;
}

/** For what names the epoch that it goes by: where replicas went on to another one, under that. Throws as `work` does. */
export async function underNewestStatement<T>(vault: Vault, recordId: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!isVaultError(error, 'STATEMENT_MISMATCH')) throw error;
    await describe(vault, recordId, vault.fleet.knownEpoch + 1n); // for the statement that it brings
    return work();
  }
}
