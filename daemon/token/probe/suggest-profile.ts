import { isVaultError, VaultError } from '../../../primitives/errors.ts';
import { inspectModule, type SlotReport } from '../pkcs11/inspect.ts';
import { initParametersFor, type Profile } from '../profile.ts';
import { chooseSlot, type ProbeOptions, type ProbeReport, probeToken, type Verdict } from './hsm-probe.ts';

export interface Suggestion {
  readonly report: ProbeReport;
  /** By what the token says of itself, or by trying one profile after the other. */
  readonly by: 'name' | 'trying';
}

type Options = Omit<ProbeOptions, 'profile' | 'initParameters'> & { readonly directory?: string | undefined };

/**
 * Probes with the profile whose token introduces itself like this one; if there is none, or it does not fit, with all, for the best
 * verdict. A profile under which the module does not show the token is passed over. What comes later ends it at once: above all a login
 * that fails, however the token puts it, since another would bring the token nearer to locking.
 */
export function suggestProfile(options: Options, profiles: readonly Profile[]): Suggestion {
  const seen = profiles.map((profile) => ({ profile, ...look(options, profile) }));
  const shown = seen.filter(({ slot }) => slot !== undefined);
  const isNamed = ({ profile: { recognise }, slot }: Seen): boolean =>
    slot !== undefined && new RegExp(recognise.manufacturer).test(slot.manufacturer) && new RegExp(recognise.model).test(slot.model);
  const probe = ({ profile }: Seen): ProbeReport => probeToken({ ...options, profile, initParameters: parametersFor(options, profile) });

  const byName = best(shown.filter(isNamed).map(probe));
  if (byName !== undefined && byName.verdict !== 'not fit') return { report: byName, by: 'name' };
  const byTrying = best(shown.filter((one) => !isNamed(one)).map(probe));
  if (byTrying !== undefined && (byName === undefined || rank(byTrying) < rank(byName))) return { report: byTrying, by: 'trying' };
  if (byName !== undefined) return { report: byName, by: 'name' };
  throw whyNone(
    options,
    seen.map(({ error }) => error),
  );
}

interface Seen {
  readonly profile: Profile;
  readonly slot?: SlotReport;
  readonly error?: VaultError;
}

/** The token under this profile's parameters, without a login. */
function look(options: Options, profile: Profile): Omit<Seen, 'profile'> {
  try {
    return { slot: chooseSlot(inspectModule(options.module, parametersFor(options, profile)).slots, options) };
  } catch (error) {
    if (!isVaultError(error) || error.code === 'MODULE_MISSING' || error.code === 'TOKEN_UNAVAILABLE') throw error;
    return { error };
  }
}

/** A module that opens and does not show the token says more than one that wants other parameters. */
function whyNone({ module }: Options, errors: readonly (VaultError | undefined)[]): VaultError {
  const missing = errors.find((error) => error?.code === 'TOKEN_MISSING');
  if (missing) return missing;
  const answers = [...new Set(errors.map((error) => error?.message))].join(' ');
  return new VaultError('TOKEN_UNFIT', `The module ${module} opens under no profile. ${answers}`);
}

const parametersFor = ({ directory, label = '' }: Options, profile: Profile): string | undefined =>
  initParametersFor(profile, { ...(directory === undefined ? {} : { directory }), label });

const ranks: Record<Verdict, number> = { fit: 0, 'fit with risks': 1, 'not fit': 2 };

/** Among those that do not fit, the one with the fewest reasons. */
const rank = ({ verdict, because }: ProbeReport): number => ranks[verdict] + because.length / 100;

const best = (reports: readonly ProbeReport[]): ProbeReport | undefined => [...reports].sort((a, b) => rank(a) - rank(b))[0];
