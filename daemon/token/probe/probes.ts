import { VaultError } from '../../../primitives/errors.ts';
import { meaningOf, returnValue } from '../pkcs11/failure.ts';
import type { KeyHandle } from '../pkcs11/session.ts';
import type { Profile } from '../profile.ts';
import { keyProbes } from './key-probes.ts';
import { pointProbes } from './point-probes.ts';
import type { Guard, Probe, Target, Way } from './probe.ts';
import { useProbes } from './use-probes.ts';

/** Refused: by no way accepted, and by one at least answered with a verdict, from a token that was logged in and had its keys. */
export type Outcome = 'refused' | 'accepted' | 'could not be tried';

export interface ProbeResult {
  readonly name: string;
  readonly stoppedBy: Guard;
  readonly outcome: Outcome;
  /** The CK_RV of the refusal, `accepted`, or why it could not be tried. */
  readonly answer: string;
  /** False where the profile says that the token does not have what would stop it. */
  readonly required: boolean;
}

export const allProbes: readonly Probe[] = [...pointProbes, ...keyProbes, ...useProbes];

/** What the profile says that its token enforces, and what every token has to. */
export const isEnforced = (guard: Guard, profile: Profile): boolean => guard === 'attributes' || guard === 'points' || profile[guard];

/**
 * Tries what the token must refuse, with session objects only: what it is known to accept would only take time, and leave traces. Throws
 * TOKEN_UNAVAILABLE if the token is lost meanwhile.
 */
export const runRequiredProbes = (token: Target): ProbeResult[] =>
  allProbes.filter(({ stoppedBy }) => isEnforced(stoppedBy, token.profile)).map((probe) => runProbe(token, probe));

/** Throws TOKEN_UNAVAILABLE if the token is lost: gone, failing, logged out, or without its keys. */
export function runProbe(token: Target, { name, stoppedBy, ways, anyFailure = false }: Probe): ProbeResult {
  const answers: Answer[] = [];
  for (const way of ways(token.profile)) {
    answers.push(tryOne(token, way, anyFailure));
    if (answers.at(-1)?.kind === 'accepted') break;
  }
  const kind = decisive.find((candidate) => answers.some((answer) => answer.kind === candidate)) ?? 'not prepared';
  const telling = answers.filter((answer) => answer.kind === kind).map(({ text }) => text);
  const outcome = outcomes[kind];
  if (outcome === 'refused') requirePresent(token);
  return { name, stoppedBy, outcome, answer: [...new Set(telling)].join('; '), required: isEnforced(stoppedBy, token.profile) };
}

/** Of a token that had to refuse all of this; undefined if it did. */
export function whyUnfit(results: readonly ProbeResult[]): string | undefined {
  const accepted = results.filter(({ outcome }) => outcome === 'accepted').map(({ name }) => name);
  const untried = results.filter(({ outcome }) => outcome === 'could not be tried').map(({ name, answer }) => `${name} (${answer})`);
  if (accepted.length > 0) return `it allows a hostile host to: ${accepted.join('; ')}.`;
  return untried.length > 0 ? `what a hostile host could do could not be tried: ${untried.join('; ')}.` : undefined;
}

interface Answer {
  /** `absent`: the token does this for no key at all. */
  readonly kind: 'accepted' | 'no verdict' | 'refused' | 'not prepared' | 'absent';
  readonly text: string;
}

/** The first of these that any way came to. That the rest is absent counts only where nothing speaks against it. */
const decisive = ['accepted', 'no verdict', 'refused', 'not prepared', 'absent'] as const;

const outcomes: Record<Answer['kind'], Outcome> = {
  accepted: 'accepted',
  'no verdict': 'could not be tried',
  refused: 'refused',
  'not prepared': 'could not be tried',
  absent: 'refused',
};

const tryOne = (token: Target, way: Way, anyFailure: boolean): Answer =>
  token.session.withTemporary((keep) => {
    let attempt: () => unknown;
    try {
      attempt = way(token, keep);
    } catch (error) {
      const text = `not to be prepared, since ${sentence(token, error)}`;
      return ABSENT.has(returnValue(error) ?? 0)
        ? { kind: 'absent', text: `no key does this: ${ckr(error)}` }
        : { kind: 'not prepared', text };
    }
    try {
      attempt();
      return { kind: 'accepted', text: 'accepted' };
    } catch (error) {
      const text = sentence(token, error);
      const refuses = anyFailure ? meaningOf(error) === 'fault' && stillWorks(token, way) : isVerdict(error);
      return refuses && returnValue(error) !== undefined ? { kind: 'refused', text: ckr(error) } : { kind: 'no verdict', text };
    }
  });

/** Would it have worked, had it been allowed? */
const stillWorks = (token: Target, way: Way): boolean =>
  token.session.withTemporary((keep) => {
    try {
      way(token, keep);
      return true;
    } catch (error) {
      sentence(token, error);
      return false;
    }
  });

const ckr = (error: unknown): string => `CKR 0x${returnValue(error)?.toString(16)}`;

/** MECHANISM_INVALID and FUNCTION_NOT_SUPPORTED, of a call that would have been allowed. */
const ABSENT: ReadonlySet<number> = new Set([0x70, 0x54]);

/** What a token answers for many reasons: that something failed, and not that it may not be. */
const saysLittle: ReadonlySet<number> = new Set([
  0x05, // GENERAL_ERROR
  0x06, // FUNCTION_FAILED
  0x07, // ARGUMENTS_BAD: we asked wrongly
  0x150, // BUFFER_TOO_SMALL: it would, if there were room
]);

const isVerdict = (error: unknown): boolean => meaningOf(error) === 'fault' && !saysLittle.has(returnValue(error) ?? 0);

/** Of a token that is there. What is no answer of the token's is thrown on, and so is that it is lost. */
function sentence(token: Target, error: unknown): string {
  if (!(error instanceof VaultError)) throw error;
  if (error.code === 'TOKEN_UNAVAILABLE') {
    if (meaningOf(error) !== 'session') throw error;
    requirePresent(token); // some say so of a key that they do not like
  }
  return error.message.replace(/\.$/, '');
}

/** A token that is lost refuses everything, and proves nothing. Throws TOKEN_UNAVAILABLE. */
function requirePresent({ session, keys }: Target): void {
  session.requireLogin();
  for (const [name, key] of Object.entries<KeyHandle>(keys))
    if (session.read(key, 'class') === undefined)
      throw new VaultError('TOKEN_UNAVAILABLE', `The token does not know key ${name} any more.`);
}
