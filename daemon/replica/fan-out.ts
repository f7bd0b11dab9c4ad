import type { Millis } from '../../primitives/brand.ts';
import type { Clock } from '../../primitives/clock.ts';
import { type ErrorCode, VaultError } from '../../primitives/errors.ts';
import type { Participant } from './participant.ts';

export interface Answers<T> {
  /** By replica index. */
  readonly answers: ReadonlyMap<number, T>;
  readonly failures: ReadonlyMap<number, VaultError>;
}

/** Failures that say nothing about the request: the same bytes may succeed later. */
const passing: ReadonlySet<ErrorCode> = new Set([
  'OUTCOME_UNKNOWN',
  'NOT_ENOUGH_REPLICAS',
  'STORE_UNAVAILABLE',
  'STATEMENT_MISMATCH',
  'BUSY',
  'TOKEN_UNAVAILABLE',
  'TOKEN_FAULT',
  'GUARD_FAILING',
  'INTERNAL',
  'REPLY_UNTRUSTED',
]);

export const isPassing = (error: VaultError): boolean => passing.has(error.code);

interface Asking<T> {
  /** So many, or such. */
  readonly enough: number | ((answers: ReadonlyMap<number, T>) => boolean);
  readonly grace: Millis;
  readonly clock: Clock;
}

/** Asks every participant as `askAll` does, and throws as `expectEnough` does where not enough answered. */
export async function askEnough<T>(
  participants: readonly Participant[],
  ask: (participant: Participant) => Promise<T>,
  asking: Asking<T>,
): Promise<T[]> {
  const { enough } = asking;
  const all = await askAll(participants, ask, asking);
  if (typeof enough === 'number') return expectEnough(all, enough, participants.length);
  return enough(all.answers) ? [...all.answers.values()] : expectEnough(all, all.answers.size + 1, participants.length);
}

/**
 * Asks every participant at once. Returns when all have answered or failed, or `grace` after enough did: a stopped
 * replica then holds nobody up. Those that come later are let go. Never rejects.
 */
export function askAll<T>(
  participants: readonly Participant[],
  ask: (participant: Participant) => Promise<T>,
  { enough, grace, clock }: Asking<T>,
): Promise<Answers<T>> {
  const answers = new Map<number, T>();
  const failures = new Map<number, VaultError>();
  const isEnough = () => (typeof enough === 'number' ? answers.size >= enough : enough(answers));
  let wasEnough = false;
  return new Promise((resolve) => {
    const finish = () => resolve({ answers: new Map(answers), failures: new Map(failures) });
    const settled = () => {
      if (answers.size + failures.size === participants.length) finish();
    };
    for (const participant of participants)
      ask(participant).then(
        (answer) => {
          answers.set(participant.index, answer);
          settled();
          if (wasEnough || !isEnough()) return;
          wasEnough = true;
          if (grace === 0) finish();
          else void clock.sleep(grace).then(finish);
        },
        (error: unknown) => {
          failures.set(participant.index, error instanceof VaultError ? error : unexpected(error));
          settled();
        },
      );
    if (participants.length === 0) finish();
  });
}

/**
 * The answers, if there are at least `needed`. If so many refused for one reason that there cannot be enough any more, throws that
 * reason. Else NOT_ENOUGH_REPLICAS: that one replica holds no share and the clock of another is wrong says nothing of the request.
 */
export function expectEnough<T>({ answers, failures }: Answers<T>, needed: number, asked: number): T[] {
  if (answers.size >= needed) return [...answers.values()];
  const refusals = [...failures.values()].filter((error) => !isPassing(error));
  const count = (error: VaultError) => refusals.filter(({ code }) => code === error.code).length;
  const shared = refusals.find((error) => asked - count(error) < needed);
  if (shared) throw shared;
  throw new VaultError('NOT_ENOUGH_REPLICAS', `${answers.size} replicas answered, ${needed} must; send exactly the same bytes again.`, {
    details: { replicasAnswered: answers.size, replicasNeeded: needed },
    cause: failures.values().next().value,
  });
}

const unexpected = (cause: unknown) => new VaultError('INTERNAL', 'A replica failed in a way that it should not.', { cause });
