import { isVaultError, VaultError } from '../../../primitives/errors.ts';
import type { SlotReport } from '../pkcs11/inspect.ts';
import { initParametersFor, type Profile } from '../profile.ts';
import { chooseSlot, inspectInChild, type ProbeOptions, type ProbeReport, probeToken, type Verdict } from './hsm-probe.ts';

export interface Suggestion {
  readonly report: ProbeReport;
  /** By what the token says of itself, or by trying one profile after the other. */
  readonly by: 'name' | 'trying';
}

type Options = Omit<ProbeOptions, 'profile' | 'initParameters'> & { readonly directory?: string | undefined };

/**
 * Probes with the profile whose token introduces itself like this one; if there is none, or it does not fit, with all, for the best
 * verdict. A profile under which the module does not show the token, or dies, is passed over. What comes later ends it at once: above all
 * a login that fails, however the token puts it, since another would bring the token nearer to locking.
 */
export async function suggestProfile(options: Options, profiles: readonly Profile[]): Promise<Suggestion> {
  const seen = await lookAll(options, profiles);
  const shown = seen.filter(({ slot }) => slot !== undefined);
  const isNamed = ({ profile: { recognise }, slot }: Seen): boolean =>
    slot !== undefined && new RegExp(recognise.manufacturer).test(slot.manufacturer) && new RegExp(recognise.model).test(slot.model);

  const byName = await bestOf(options, shown.filter(isNamed));
  if (byName !== undefined && byName.verdict !== 'not fit') return { report: byName, by: 'name' };
  const byTrying = await bestOf(
    options,
    shown.filter((one) => !isNamed(one)),
  );
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

/** Once for each way to start the module. */
async function lookAll(options: Options, profiles: readonly Profile[]): Promise<Seen[]> {
  const looks = new Map<string, Omit<Seen, 'profile'>>();
  const seen: Seen[] = [];
  for (const profile of profiles) {
    const start = JSON.stringify([profile.initParameters, profile.environment]);
    const found = looks.get(start) ?? (await look(options, profile));
    looks.set(start, found);
    seen.push({ profile, ...found });
  }
  return seen;
}

/** The token under this profile's parameters, without a login. */
async function look(options: Options, profile: Profile): Promise<Omit<Seen, 'profile'>> {
  try {
    const { slots } = await inspectInChild(placeFor(options, profile), options.patience);
    return { slot: chooseSlot(slots, options) };
  } catch (error) {
    if (!isVaultError(error) || error.code === 'MODULE_MISSING' || error.code === 'TOKEN_UNAVAILABLE') throw error;
    return { error };
  }
}

async function bestOf(options: Options, seen: readonly Seen[]): Promise<ProbeReport | undefined> {
  const reports: ProbeReport[] = [];
  for (const { profile } of seen) {
    reports.push(await probeToken({ ...options, ...placeFor(options, profile) }));
    if (reports.at(-1)?.verdict === 'fit') break;
  }
  return reports.sort((a, b) => rank(a) - rank(b))[0];
}

/** A module that opens and does not show the token says more than one that wants other parameters. */
function whyNone({ module }: Options, errors: readonly (VaultError | undefined)[]): VaultError {
  const missing = errors.find((error) => error?.code === 'TOKEN_MISSING');
  if (missing) return missing;
  const answers = [...new Set(errors.map((error) => error?.message))].join(' ');
  return new VaultError('TOKEN_UNFIT', `The module ${module} opens under no profile. ${answers}`);
}

const placeFor = ({ module, directory, label = '' }: Options, profile: Profile) => ({
  module,
  profile,
  initParameters: initParametersFor(profile, { ...(directory === undefined ? {} : { directory }), label }),
});

const ranks: Record<Verdict, number> = { fit: 0, 'fit with risks': 1, 'not fit': 2 };

/** Among those that do not fit, the one with the fewest reasons. */
const rank = ({ verdict, because }: ProbeReport): number => ranks[verdict] + because.length / 100;
