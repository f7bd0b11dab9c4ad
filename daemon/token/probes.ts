import { VaultError } from '../../primitives/errors.ts';
import { returnValue } from './failure.ts';
import { keyProbes } from './key-probes.ts';
import type { Guard, Probe } from './probe.ts';
import type { Profile } from './profile.ts';
import type { ReplicaToken, TokenWith } from './replica.ts';
import { trustProbes, unwrapProbes } from './wrap-probes.ts';

export interface ProbeResult {
  readonly name: string;
  readonly stoppedBy: Guard;
  readonly refused: boolean;
  /** The CK_RV, or `accepted`. */
  readonly answer: string;
  /** False where the profile says that the token does not have what would stop it. */
  readonly required: boolean;
}

export const allProbes: readonly Probe[] = [...keyProbes, ...unwrapProbes, ...trustProbes];

/** What the profile says that its token enforces. */
export const isEnforced = (guard: Guard, profile: Profile): boolean =>
  guard === 'attributes' || (guard === 'trusted' ? profile.trusted !== 'none' : profile[guard]);

/** Tries everything. Session objects only; a token that accepts one of the probes of `beginDecrypt` leaves its session in that operation. */
export const runProbes = (token: ReplicaToken): ProbeResult[] => allProbes.map((probe) => runProbe(token, probe));

/** Those that the token must refuse: what it is known to accept would only take time, and leave traces. */
export const runRequiredProbes = (token: ReplicaToken): ProbeResult[] => runRequired(token, allProbes);

export const runRequired = <Token extends TokenWith<never>>(token: Token, probes: readonly Probe<Token>[]): ProbeResult[] =>
  probes.filter(({ stoppedBy }) => isEnforced(stoppedBy, token.profile)).map((probe) => runProbe(token, probe));

export function runProbe<Token extends TokenWith<never>>(token: Token, { name, stoppedBy, attempt }: Probe<Token>): ProbeResult {
  const answer = token.session.withTemporary((keep) => answerTo(() => attempt(token, keep)));
  return { name, stoppedBy, refused: answer !== 'accepted', answer, required: isEnforced(stoppedBy, token.profile) };
}

function answerTo(attempt: () => unknown): string {
  try {
    attempt();
    return 'accepted';
  } catch (error) {
    const value = returnValue(error);
    // A token that is gone refuses everything, and proves nothing.
    if (value === undefined || (error instanceof VaultError && error.code === 'TOKEN_UNAVAILABLE')) throw error;
    return `CKR 0x${value.toString(16)}`;
  }
}
