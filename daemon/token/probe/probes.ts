import { VaultError } from '../../../primitives/errors.ts';
import type { ReplicaToken, TokenWith } from '../keys/replica.ts';
import { meaningOf, returnValue } from '../pkcs11/failure.ts';
import type { KeyHandle } from '../pkcs11/session.ts';
import type { Profile } from '../profile.ts';
import { keyProbes } from './key-probes.ts';
import type { Guard, Probe, Way } from './probe.ts';
import { trustProbes, unwrapProbes } from './wrap-probes.ts';

/** Refused: by no way accepted, and by one at least answered with a verdict, from a token that was logged in and had its keys. */
type Outcome = 'refused' | 'accepted' | 'could not be tried';

export interface ProbeResult {
  readonly name: string;
  readonly stoppedBy: Guard;
  readonly outcome: Outcome;
  /** The CK_RV of the refusal, `accepted`, or why it could not be tried. */
  readonly answer: string;
  /** False where the profile says that the token does not have what would stop it. */
  readonly required: boolean;
}

export const allProbes: readonly Probe[] = [...keyProbes, ...unwrapProbes, ...trustProbes];

/** What the profile says that its token enforces. */
export const isEnforced = (guard: Guard, profile: Profile): boolean =>
  guard === 'attributes' || (guard === 'trusted' ? profile.trusted !== 'none' : profile[guard]);

/** Tries everything, with session objects only. Throws TOKEN_UNAVAILABLE if the token is lost meanwhile. */
export const runProbes = (token: ReplicaToken): ProbeResult[] => allProbes.map((probe) => runProbe(token, probe));

/** Those that the token must refuse: what it is known to accept would only take time, and leave traces. */
export const runRequiredProbes = (token: ReplicaToken): ProbeResult[] => runRequired(token, allProbes);

export const runRequired = <Token extends TokenWith<never>>(token: Token, probes: readonly Probe<Token>[]): ProbeResult[] =>
  probes.filter(({ stoppedBy }) => isEnforced(stoppedBy, token.profile)).map((probe) => runProbe(token, probe));

/** Throws TOKEN_UNAVAILABLE if the token is lost: gone, failing, logged out, or without its keys. */
export function runProbe<Token extends TokenWith<never>>(token: Token, { name, stoppedBy, ways }: Probe<Token>): ProbeResult {
  const answers: Answer[] = [];
  for (const way of ways(token.profile)) {
    answers.push(tryOne(token, way));
    if (answers.at(-1)?.kind === 'accepted') break;
  }
  const kind = (['accepted', 'no verdict', 'refused'] as const).find((candidate) => answers.some((answer) => answer.kind === candidate));
  const telling = answers.filter((answer) => answer.kind === (kind ?? 'not prepared')).map(({ text }) => text);
  const outcome = kind === 'accepted' || kind === 'refused' ? kind : 'could not be tried';
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
  readonly kind: 'accepted' | 'refused' | 'no verdict' | 'not prepared';
  readonly text: string;
}

const tryOne = <Token extends TokenWith<never>>(token: Token, way: Way<Token>): Answer =>
  token.session.withTemporary((keep) => {
    let attempt: () => unknown;
    try {
      attempt = way(token, keep);
    } catch (error) {
      return { kind: 'not prepared', text: `not to be prepared, since ${sentence(token, error)}` };
    }
    try {
      attempt();
      return { kind: 'accepted', text: 'accepted' };
    } catch (error) {
      const text = sentence(token, error);
      const value = returnValue(error);
      return isVerdict(error) && value !== undefined
        ? { kind: 'refused', text: `CKR 0x${value.toString(16)}` }
        : { kind: 'no verdict', text };
    }
  });

/** What a token answers for many reasons: that something failed, and not that it may not be. */
const saysLittle: ReadonlySet<number> = new Set([
  0x05, // GENERAL_ERROR
  0x06, // FUNCTION_FAILED
  0x07, // ARGUMENTS_BAD: we asked wrongly
  0x150, // BUFFER_TOO_SMALL: it would, if there were room
]);

const isVerdict = (error: unknown): boolean => meaningOf(error) === 'fault' && !saysLittle.has(returnValue(error) ?? 0);

/** Of a token that is there. What is no answer of the token's is thrown on, and so is that it is lost. */
function sentence(token: TokenWith<never>, error: unknown): string {
  if (!(error instanceof VaultError)) throw error;
  if (error.code === 'TOKEN_UNAVAILABLE') {
    if (meaningOf(error) !== 'session') throw error;
    requirePresent(token); // some say so of a key that they do not like
  }
  return error.message.replace(/\.$/, '');
}

/** A token that is lost refuses everything, and proves nothing. Throws TOKEN_UNAVAILABLE. */
function requirePresent({ session, keys }: TokenWith<never>): void {
  session.requireLogin();
  for (const [name, key] of Object.entries<KeyHandle>(keys))
    if (session.read(key, 'class') === undefined)
      throw new VaultError('TOKEN_UNAVAILABLE', `The token does not know key ${name} any more.`);
}
