import type { Clock } from '../primitives/clock.ts';
import { type ErrorCode, isVaultError } from '../primitives/errors.ts';
import { type RetryPolicy, retry } from '../primitives/retry.ts';

// Every request of the protocol is idempotent (docs/PROTOCOL.md, P5), so these are safe to answer with the same bytes again.
const repeatable: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'OUTCOME_UNKNOWN',
  'NOT_ENOUGH_REPLICAS',
  'STORE_UNAVAILABLE',
  'RECORD_OUTDATED',
  'ATTEMPT_CONFLICT',
  'TOKEN_UNAVAILABLE',
  'GUARD_FAILING',
  'BUSY',
]);

const policy: RetryPolicy = {
  pauses: [250, 1000, 3000],
  again: (error) => isVaultError(error) && repeatable.has(error.code),
};

/** The SDK's one retry: whatever `operation` sends must be the same bytes each time. */
export const insist = <T>(clock: Clock, operation: () => Promise<T>): Promise<T> => retry(operation, policy, clock);

/** How many replies to one request were of no use: a frontend then asks another replica first. */
export interface Turns {
  turn: number;
}

/** One request, and what its reply shows. */
export interface Asking<Reply, T> {
  readonly turns?: Turns;
  /** As many turns at most. */
  readonly replicas: number;
  /** The same bytes each time, but for the turn. */
  readonly send: (turn: number) => Promise<Reply>;
  /** Throws where the reply is of no use. */
  readonly read: (reply: Reply) => Promise<T>;
  /** What is the doing of whoever coordinated: it is asked anew at once. */
  readonly isUntrue: (error: unknown) => boolean;
}

/**
 * The same, with another coordinator after each reply that is of no use: one that answers, and shows nothing for what it says, would else be asked for
 * ever. So would one that says, of any point, that its number is another one's. Of t coordinators one tells the truth.
 */
export async function insistInTurn<Reply, T>(
  clock: Clock,
  { turns = { turn: 0 }, replicas, send, read, isUntrue }: Asking<Reply, T>,
): Promise<T> {
  const ask = async () => {
    let reply: Reply | undefined;
    try {
      reply = await send(turns.turn);
      return await read(reply);
    } catch (error) {
      if (reply !== undefined || isUntrue(error) || isVaultError(error, 'ATTEMPT_CONFLICT')) turns.turn++;
      throw error;
    }
  };
  for (let left = replicas; ; left--)
    try {
      return await insist(clock, ask);
    } catch (error) {
      if (!isUntrue(error) || left <= 1) throw error;
    }
}

export const isUntrusted = (error: unknown): boolean => isVaultError(error, 'REPLY_UNTRUSTED');
