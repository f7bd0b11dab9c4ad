import { VaultError } from '../../primitives/errors.ts';
import { returnValue } from './failure.ts';
import { keyProbes } from './key-probes.ts';
import type { Probe } from './probe.ts';
import type { ReplicaToken } from './replica.ts';
import { trustProbes, unwrapProbes } from './wrap-probes.ts';

export interface ProbeResult {
  readonly name: string;
  readonly stoppedBy: Probe['stoppedBy'];
  readonly refused: boolean;
  /** The CK_RV, or `accepted`. */
  readonly answer: string;
  /** False where the profile says that the token does not have what would stop it. */
  readonly required: boolean;
}

/** Tries everything. Session objects only; a token that accepts one of the probes of `beginDecrypt` leaves its session in that operation. */
export function runProbes(token: ReplicaToken): ProbeResult[] {
  const { profile } = token;
  const has = {
    attributes: true,
    unwrapTemplate: profile.unwrapTemplate,
    allowedMechanisms: profile.allowedMechanisms,
    trusted: profile.trusted !== 'none',
  };
  return [...keyProbes, ...unwrapProbes, ...trustProbes].map(({ name, stoppedBy, attempt }) => {
    const answer = token.session.withTemporary((keep) => answerTo(() => attempt(token, keep)));
    return { name, stoppedBy, refused: answer !== 'accepted', answer, required: has[stoppedBy] };
  });
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
