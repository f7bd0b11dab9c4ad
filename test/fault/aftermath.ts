import pLimit from 'p-limit';
import type { VaultTransport } from '../../client/transport.ts';
import { toHex } from '../../primitives/bytes.ts';
import { systemClock } from '../../primitives/clock.ts';
import { isVaultError } from '../../primitives/errors.ts';
import { retry } from '../../primitives/retry.ts';
import { RecordState } from '../../proto/gen/backupvault/v1/record_pb.ts';
import type { StoreView } from '../harness/store-view.ts';
import type { Account } from './account.ts';
import { type Device, isPassing } from './device.ts';
import type { Healed, History } from './history.ts';

const AT_ONCE = 6;

/** Nothing is broken any more: now every open question has an answer, and every right code works. */
export interface Aftermath {
  readonly history: History;
  /** Over a network that loses nothing. */
  readonly transport: VaultTransport;
  readonly device: Device;
  readonly store: StoreView;
  /** Still in use at the end; the others had used up their attempts. */
  readonly active: readonly Account[];
}

export async function settle(accounts: readonly Account[], aftermath: Aftermath): Promise<void> {
  await each(accounts, (account) => resolveOpen(account, aftermath));
  // One device, one thing at a time: what it has in hand is the account it is at.
  for (const account of accounts) await useRightCode(account, aftermath);
  await each(accounts, (account) => readFinal(account, aftermath));
}

/**
 * As docs/OPERATIONS.md has it before replicas leave: every record is recovered and enrolled anew while all of them are there. What was open is known
 * then, and not asked for again: of the others, too few replicas may be left.
 */
export async function moveOn(accounts: readonly Account[], aftermath: Aftermath): Promise<void> {
  await each(accounts, (account) => resolveOpen(account, aftermath));
  for (const account of accounts) await useRightCode(account, aftermath, true);
  for (const { openGuesses, openEnrolments } of accounts) for (const open of [openGuesses, openEnrolments]) open.clear();
}

async function each(accounts: readonly Account[], work: (account: Account) => Promise<void>): Promise<void> {
  const limit = pLimit(AT_ONCE);
  await Promise.all(accounts.map((account) => limit(() => work(account))));
}

async function resolveOpen(account: Account, { history, transport }: Aftermath): Promise<void> {
  const tell = async (what: Healed['what'], send: () => Promise<unknown>) => {
    const outcome = await insist(send);
    history.add({ type: 'healed', rid: account.rid, what, ...outcome });
  };
  for (const request of account.openGuesses) await tell('same bytes', () => transport.beginRecovery(request));
  for (const request of account.openEnrolments) await tell('unfinished enrolment', () => transport.finishEnrollment(request));
}

async function useRightCode(account: Account, { history, device, active }: Aftermath, renew = false): Promise<void> {
  if (account.isRolledBack || !active.includes(account)) return;
  const tried = await device.tryRightCode(account, renew);
  if (tried.outcome === 'RECORD_UNKNOWN') return; // never enrolled: whether that can be, the checker sees
  history.add({ type: 'healed', rid: account.rid, what: 'right code', ...tried });
}

async function readFinal({ rid }: Account, { store, history }: Aftermath): Promise<void> {
  const attempts = await retry(() => store.attempts(Buffer.from(rid, 'hex')), { pauses: [200, 500, 1000], again: () => true }, systemClock);
  if (!attempts) return history.add({ type: 'final', rid, state: 'absent', g: '', limit: 0, points: [], number: 0 });
  const { g, limit, points, number, state } = attempts;
  history.add({
    ...{ type: 'final', rid, g: toHex(g), limit, points: points.map(({ hash }) => toHex(hash)), number: Number(number) },
    state: state === RecordState.ERASED ? 'erased' : 'live',
  });
}

async function insist(send: () => Promise<unknown>): Promise<Pick<Healed, 'outcome' | 'message'>> {
  try {
    await retry(send, { pauses: [200, 500, 1000, 2000], again: isPassing }, systemClock);
    return { outcome: 'ok' };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return { outcome: isVaultError(error) ? error.code : 'INTERNAL', message };
  }
}
