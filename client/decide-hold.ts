import { create } from '@bufbuild/protobuf';
import { isVaultError, VaultError } from '../primitives/errors.ts';
import type { SecretBytes } from '../primitives/secret-bytes.ts';
import { DecideHoldRequestSchema, type Decision } from '../proto/gen/backupvault/v1/vault_pb.ts';
import { expectSigned } from '../protocol/signature.ts';
import { replicaOf, type Statement } from '../protocol/statement.ts';
import { meeting as meetingOf } from '../protocol/terms.ts';
import { approveTranscript, decidedTranscript, vetoTranscript } from '../protocol/transcripts.ts';
import { verifyEach } from './claims.ts';
import { ownerKey } from './derive.ts';
import { underNewestStatement } from './describe.ts';
import { insist } from './insist.ts';
import type { HeldAt } from './locate.ts';
import { ridOf, type Vault } from './vault.ts';

export interface HoldDecision {
  readonly recordId: string;
  readonly backupKey: SecretBytes;
  /** As `describe` told of it. An approval is for the proof with this base, and no other one. */
  readonly held: Pick<HeldAt, 'fleet' | 'g' | 'attempt' | 'pointHash' | 'blindedBase'>;
}

export interface Decided {
  /** Replicas that signed that they keep to it, and had not released. */
  readonly by: readonly number[];
  /** Replicas that had released, or lost their guard since the attempt, by the coordinators' word. */
  readonly released: readonly number[];
  readonly isFinal: Finality;
}

/**
 * Whether too few holders are left to release it: m−t+1 of the record's m keep to a veto. With t−1 more, that is so whatever t−1 of these do, or lose: each of them is one that may lie,
 * or lose its guard.
 */
export type Finality = 'too few' | 'final, if none of these lies' | 'final';

/**
 * Has the fleet keep to the owner's word about an attempt. t−1 other coordinators are asked, too, where not all replicas signed: the first one may have passed it on to nobody.
 * Throws what all of them said where all refused.
 */
export async function decideHold({ draining, ...vault }: Vault, decision: HoldDecision, isVeto: boolean): Promise<Decided> {
  const at = decision.held.fleet === 'old' ? draining : { draining, ...vault };
  if (!at) throw new VaultError('RECORD_UNKNOWN', 'No fleet is being replaced, and so nothing is held in one.');
  return underNewestStatement(at, decision.recordId, () => decideAt(at, decision, isVeto));
}

async function decideAt(vault: Vault, { recordId, backupKey, held }: HoldDecision, isVeto: boolean): Promise<Decided> {
  const { g, attempt, pointHash } = held;
  const { clock, transport, fleet } = vault;
  const rid = ridOf(vault, recordId);
  const statement = await fleet.statement();
  const name = { fleet: statement.fleet, rid, g, attempt, pointHash };
  const blindedBase = isVeto ? new Uint8Array(0) : held.blindedBase;
  const signature = ownerKey(backupKey, rid).sign(isVeto ? vetoTranscript(name) : approveTranscript(name, blindedBase));
  const epoch = BigInt(statement.epoch);
  const message = { recordId, g, attempt, pointHash, veto: isVeto, signature, blindedBase, epoch };
  const ask = (turn: number) => insist(clock, () => transport.decideHold(create(DecideHoldRequestSchema, { ...message, turn })));
  const by = new Map<number, Decision>();
  const released = new Set<number>();
  const refusals: VaultError[] = [];
  for (let turn = 0; turn < statement.threshold && by.size < statement.replicas.length; turn++) {
    const reply = await ask(turn).catch((error: unknown) => {
      if (!isVaultError(error)) throw error;
      refusals.push(error);
    });
    const { valid } = await verifyEach(reply?.decided ?? [], (decision) => {
      const { index, meeting } = decision;
      const transcript = decidedTranscript(isVeto, { fleet: statement.fleet, epoch, index, rid, g, attempt, pointHash, meeting });
      expectSigned(replicaOf(statement, index), transcript, decision.signature, 'The decision');
      return decision;
    });
    for (const decision of valid) by.set(decision.index, decision);
    for (const index of reply?.released ?? []) released.add(index);
  }
  if (refusals.length === statement.threshold) throw refusals.find(({ code }) => code === 'STATEMENT_MISMATCH') ?? refusals[0];
  const inOrder = (indices: Iterable<number>) => [...indices].sort((a, b) => a - b);
  return {
    by: inOrder(by.keys()),
    released: inOrder([...released].filter((index) => !by.has(index))),
    isFinal: finalityOf(statement, [...by.values()]),
  };
}

/** One of t that sign tells the truth of m−t+1, which is at most n−t+1; who says more than is true only makes it later. */
function finalityOf({ terms }: Statement, by: readonly Decision[]): Finality {
  const all = [...terms.values()];
  const meeting = Math.min(Math.max(1, ...by.map((each) => each.meeting)), Math.max(...all.map(meetingOf)));
  const liars = Math.max(...all.map(({ threshold }) => threshold)) - 1;
  if (by.length < meeting) return 'too few';
  return by.length < meeting + liars ? 'final, if none of these lies' : 'final';
}
