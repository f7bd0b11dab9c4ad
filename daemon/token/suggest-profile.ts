import { isVaultError, VaultError } from '../../primitives/errors.ts';
import { type ProbeOptions, type ProbeReport, probeToken, type Verdict } from './hsm-probe.ts';
import { inspectModule } from './inspect.ts';
import { initParametersFor, type Profile } from './profile.ts';

export interface Suggestion {
  readonly report: ProbeReport;
  /** By what the token says of itself, or by trying one profile after the other. */
  readonly by: 'name' | 'trying';
}

type Options = Omit<ProbeOptions, 'profile' | 'initParameters'> & { readonly directory?: string | undefined };

/**
 * Probes with the profile whose token introduces itself like this one; if there is none, or it does not fit, with all, for the best
 * verdict. A PIN that is refused ends it at once: another try would bring the token nearer to locking it.
 */
export function suggestProfile(options: Options, profiles: readonly Profile[]): Suggestion {
  const named = profiles.filter((profile) => isRecognised(options, profile));
  const byName = best(named.map((profile) => attempt(options, profile)));
  if (byName !== undefined && byName.verdict !== 'not fit') return { report: byName, by: 'name' };
  const others = profiles.filter((profile) => !named.includes(profile));
  const byTrying = best(others.map((profile) => attempt(options, profile)));
  if (byTrying !== undefined && (byName === undefined || rank(byTrying) < rank(byName))) return { report: byTrying, by: 'trying' };
  if (byName !== undefined) return { report: byName, by: 'name' };
  throw new VaultError('TOKEN_UNFIT', `The module ${options.module} opens under no profile.`);
}

function isRecognised(options: Options, profile: Profile): boolean {
  const { manufacturer, model } = profile.recognise;
  try {
    const { slots } = inspectModule(options.module, parametersFor(options, profile));
    return slots.some((slot) => new RegExp(manufacturer).test(slot.manufacturer) && new RegExp(model).test(slot.model));
  } catch (error) {
    if (isVaultError(error, 'MODULE_MISSING')) throw error;
    return false; // it wants other parameters
  }
}

function attempt(options: Options, profile: Profile): ProbeReport | undefined {
  try {
    return probeToken({ ...options, profile, initParameters: parametersFor(options, profile) });
  } catch (error) {
    if (isVaultError(error, 'PIN_REFUSED') || isVaultError(error, 'TOKEN_UNAVAILABLE')) throw error;
    return undefined;
  }
}

const parametersFor = ({ directory, label = '' }: Options, profile: Profile): string | undefined =>
  initParametersFor(profile, { ...(directory === undefined ? {} : { directory }), label });

const ranks: Record<Verdict, number> = { fit: 0, 'fit with risks': 1, 'not fit': 2 };

/** Among those that do not fit, the one with the fewest reasons. */
const rank = ({ verdict, because }: ProbeReport): number => ranks[verdict] + because.length / 100;

const best = (reports: readonly (ProbeReport | undefined)[]): ProbeReport | undefined =>
  reports.filter((report) => report !== undefined).sort((a, b) => rank(a) - rank(b))[0];
