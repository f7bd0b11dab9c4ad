import { isVaultError, VaultError } from '../../../primitives/errors.ts';
import type { SecretBytes } from '../../../primitives/secret-bytes.ts';
import { closeQuietly, type ReplicaToken } from '../keys/replica.ts';
import { inspectModule, missingMechanisms, type SlotReport } from '../pkcs11/inspect.ts';
import { finalise, type Module, openModule, type SlotId } from '../pkcs11/module.ts';
import { TokenSession } from '../pkcs11/session.ts';
import type { Profile } from '../profile.ts';
import type { Guard, Probe } from './probe.ts';
import { allProbes, isEnforced, type ProbeResult, runProbe } from './probes.ts';
import { TimedModule } from './timed-module.ts';
import { type Trial, trials } from './trial.ts';
import { makeTrialKeys } from './trial-keys.ts';

export interface ProbeOptions {
  readonly module: string;
  readonly initParameters?: string | undefined;
  readonly profile: Profile;
  readonly pin: SecretBytes;
  /** Both may be left out where only one token is initialised. */
  readonly label?: string | undefined;
  readonly slot?: number | undefined;
}

export interface TrialResult {
  readonly name: string;
  readonly works: boolean;
  /** Time in the module, the median of a few runs, in µs. Absent where it does not work. */
  readonly micros?: number;
  /** Calls into the module: each is a round trip where the HSM is on a network. */
  readonly calls?: number;
  /** Why it does not work. */
  readonly why?: string;
}

export type Verdict = 'fit' | 'fit with risks' | 'not fit';

export interface ProbeReport {
  readonly library: string;
  readonly token: Pick<SlotReport, 'id' | 'label' | 'manufacturer' | 'model' | 'serial'>;
  readonly profile: string;
  readonly basis: Profile['basis'];
  readonly verdict: Verdict;
  /** Why it is not fit. */
  readonly because: readonly string[];
  readonly risks: readonly string[];
  readonly operations: readonly TrialResult[];
  /** What a hostile host could try. */
  readonly attacks: readonly ProbeResult[];
  readonly notTried: readonly string[];
  /** All that the session sees: the probe leaves nothing behind. */
  readonly objects: { readonly before: number; readonly after: number };
}

/** Tries with session objects whether a token would do. Logs in once. Not for a process that serves: it finalises the module. */
export function probeToken(options: ProbeOptions): ProbeReport {
  const { profile, pin } = options;
  const { library, slots } = inspectModule(options.module, options.initParameters);
  const chosen = chooseSlot(slots, options);
  const module = openModule(options.module, options.initParameters);
  try {
    const slot = slotWith(module, chosen.id);
    const anchor = new TokenSession(module, slot); // whoever closes the last session logs out
    anchor.login(profile.userType, pin);
    const before = countObjects(anchor);
    const { because: reasons, ...found } = probeLoggedIn(new Bench(module, slot, profile, pin), chosen, profile);
    const objects = { before, after: countObjects(anchor) };
    anchor.close();
    const because = [...reasons, ...leftBehind(objects)];
    const verdict = because.length > 0 ? 'not fit' : found.risks.length > 0 ? 'fit with risks' : 'fit';
    const { id, label, manufacturer, model, serial } = chosen;
    const token = { id, label, manufacturer, model, serial };
    return { library, token, profile: profile.vendor, basis: profile.basis, verdict, because, ...found, objects };
  } finally {
    finalise(module);
  }
}

type Found = Pick<ProbeReport, 'because' | 'risks' | 'operations' | 'attacks' | 'notTried'>;

function probeLoggedIn(bench: Bench, report: SlotReport, profile: Profile): Found {
  const because = missingMechanisms(report, profile).map((name) => `it does not list the mechanism for ${name}`);
  try {
    const refusal = bench.whyNoKeys();
    if (refusal !== undefined) {
      because.push(`it does not make the vault’s keys as this profile states them: ${refusal}`);
      return { because, risks: [], operations: [], attacks: [], notTried: ['everything that needs keys'] };
    }
    const operations = trials.map((trial) => bench.try(trial));
    because.push(
      ...operations.flatMap(({ works, why }, i) => (works ? [] : [`“${operations[i]?.name}” failed (${why}): ${trials[i]?.without}`])),
    );
    const tried = allProbes.filter(({ makesTokenObject }) => makesTokenObject !== true);
    // Without the operations themselves, refusals prove nothing.
    const attacks = because.length > 0 ? [] : tried.map((probe) => bench.attack(probe));
    because.push(...brokenRules(attacks), ...unshownRules(attacks));
    // Nor do they if the keys that were attacked were dead.
    const dead = attacks.length > 0 ? trials.map((trial) => bench.try(trial, 1)).filter(({ works }) => !works) : [];
    because.push(
      ...dead.map(({ name, why }) => `“${name}” failed after the attacks, with the same keys (${why}): what it refused proves nothing`),
    );
    const risks = [...guardRisks(attacks), ...otherRisks(report)];
    return { because, risks, operations, attacks, notTried: notTried(profile, attacks.length > 0) };
  } finally {
    bench.close();
  }
}

function leftBehind({ before, after }: ProbeReport['objects']): string[] {
  if (before === after) return [];
  return [
    `there were ${before} objects before and ${after} after: either it keeps what was made for the session alone, or another application works with it meanwhile (probe it alone, then)`,
  ];
}

const ROUNDS = 5;

/** A session with a replica's keys in it, made anew whenever an attack may have changed them. */
class Bench {
  readonly #timed: TimedModule;
  readonly #slot: SlotId;
  readonly #profile: Profile;
  readonly #pin: SecretBytes;
  #session: TokenSession;
  #token: ReplicaToken | undefined;

  /** The PIN is one that the token took. */
  constructor(module: Module, slot: SlotId, profile: Profile, pin: SecretBytes) {
    this.#timed = new TimedModule(module);
    this.#slot = slot;
    this.#profile = profile;
    this.#pin = pin;
    this.#session = this.#open();
  }

  whyNoKeys(): string | undefined {
    try {
      this.#keys();
      return undefined;
    } catch (error) {
      return this.#reason(error);
    }
  }

  try({ name, run }: Trial, rounds = ROUNDS): TrialResult {
    const token = this.#keys();
    try {
      const took = Array.from({ length: rounds }, () => {
        this.#timed.reset();
        run(token);
        return this.#timed.spent;
      });
      const median = took.sort((a, b) => a - b)[rounds >> 1] as number;
      return { name, works: true, micros: Math.round(median * 1000), calls: this.#timed.calls };
    } catch (error) {
      const why = this.#reason(error);
      this.#renew(); // what failed half-way may have left its operation under way
      return { name, works: false, why };
    }
  }

  /** What could not be tried is tried once more, logged in, with new keys. */
  attack(probe: Probe): ProbeResult {
    const first = this.#attackOnce(probe);
    return first.outcome === 'could not be tried' ? this.#attackOnce(probe) : first;
  }

  #attackOnce(probe: Probe): ProbeResult {
    const token = this.#keys();
    // What is stopped by trust needs no trusted KEK: the keys themselves ask for one.
    const profile = probe.stoppedBy === 'trusted' ? this.#profile : token.profile;
    const required = isEnforced(probe.stoppedBy, this.#profile);
    const result = this.#answerTo(() => runProbe({ ...token, profile }, probe), probe);
    if (result.outcome !== 'refused') this.#renew();
    return { ...result, required };
  }

  #answerTo(run: () => ProbeResult, { name, stoppedBy }: Probe): Omit<ProbeResult, 'required'> {
    try {
      return run();
    } catch (error) {
      if (!isVaultError(error, 'TOKEN_UNAVAILABLE')) throw error;
      return { name, stoppedBy, outcome: 'could not be tried', answer: error.message.replace(/\.$/, '') };
    }
  }

  /** Why the token does not do something. Throws what says nothing about that: faults of ours, and that the token is gone. */
  #reason(error: unknown): string {
    if (!isVaultError(error)) throw error;
    this.#session.requireLogin();
    this.#session.find({}, 1); // some say TOKEN_UNAVAILABLE of a key that they do not like
    return error.message.replace(/\.$/, '');
  }

  close(): void {
    closeQuietly(this.#session);
  }

  #keys(): ReplicaToken {
    this.#token ??= makeTrialKeys(this.#timed.module, this.#slot, this.#session, this.#profile);
    return this.#token;
  }

  #open(): TokenSession {
    const session = new TokenSession(this.#timed.module, this.#slot);
    session.login(this.#profile.userType, this.#pin); // an attack may have ended the login, which is the application’s
    return session;
  }

  /** Its keys go with the session, and so does what an attack that was accepted made of them. */
  #renew(): void {
    closeQuietly(this.#session);
    this.#token = undefined;
    this.#session = this.#open();
  }
}

/** A rule that the profile states and the token breaks. The daemon would refuse to start. */
const brokenRules = (attacks: readonly ProbeResult[]): string[] =>
  byGuard(attacks, ({ required, outcome }) => required && outcome === 'accepted').map(
    ([guard, found]) => `it breaks a rule that its profile states, ${rules[guard]}${remedy(guard)}; it accepts: ${names(found)}`,
  );

/** Nor would it start with a rule that it cannot see kept. */
const unshownRules = (attacks: readonly ProbeResult[]): string[] =>
  byGuard(attacks, ({ required, outcome }) => required && outcome === UNTRIED).map(
    ([guard, found]) => `nothing shows that it keeps a rule that its profile states, ${rules[guard]}${remedy(guard)}; ${untried(found)}`,
  );

/** One sentence for each rule that the profile does not state, and the token does not follow or was not seen to follow. */
const guardRisks = (attacks: readonly ProbeResult[]): string[] => [
  ...byGuard(attacks, ({ required, outcome }) => !required && outcome === 'accepted').map(([guard]) => `${guard}: ${risks[guard]}`),
  ...byGuard(attacks, ({ required, outcome }) => !required && outcome === UNTRIED).map(
    ([guard, found]) => `${guard}: ${untried(found)}. If it works, ${risks[guard]}`,
  ),
];

const UNTRIED = 'could not be tried' satisfies ProbeResult['outcome'];

function byGuard(attacks: readonly ProbeResult[], isMeant: (attack: ProbeResult) => boolean): [Guard, readonly ProbeResult[]][] {
  const meant = attacks.filter(isMeant);
  const guards = [...new Set(meant.map(({ stoppedBy }) => stoppedBy))];
  return guards.map((guard) => [guard, meant.filter(({ stoppedBy }) => stoppedBy === guard)]);
}

const names = (attacks: readonly ProbeResult[]): string => attacks.map(({ name }) => name).join('; ');

const untried = (attacks: readonly ProbeResult[]): string =>
  `could not be tried: ${names(attacks)} (${[...new Set(attacks.map(({ answer }) => answer))].join('; ')})`;

const remedy = (guard: Guard): string =>
  guard === 'attributes'
    ? ''
    : ` (a copy of the profile that says so, ${guard}: ${guard === 'trusted' ? 'none' : 'false'}, accepts that as a risk)`;

const rules: Record<Guard, string> = {
  attributes: 'that a key does what its attributes allow and keeps its value',
  extractable: 'that a key that is not EXTRACTABLE is wrapped by nothing',
  copy: 'that a copy is no looser than its original',
  derive: 'that a key without DERIVE derives nothing',
  unwrapTemplate: 'that UNWRAP_TEMPLATE is enforced',
  allowedMechanisms: 'that ALLOWED_MECHANISMS is enforced',
  trusted: 'that WRAP_WITH_TRUSTED is enforced',
};

const risks: Record<Guard, string> = {
  ...rules, // none of `attributes`: every profile states it
  extractable: 'a host with the PIN can wrap the replica’s own keys to a key that it knows and take them away for good.',
  copy: 'a host with the PIN can copy a KEK with DECRYPT switched on and open everything that the replica stored.',
  derive: 'a host with the PIN can use the receipt key for ECDH: it learns no key, but it is a use that nobody asked for.',
  unwrapTemplate: 'a host with the PIN can unwrap stored secrets as keys that it may read.',
  allowedMechanisms: 'a host with the PIN can use a key with other mechanisms of the same kind, such as another padding of a wrap.',
  trusted: 'a host with the PIN can wrap a new record’s secrets to a key that it knows, before they are stored.',
};

function otherRisks({ serial }: SlotReport): string[] {
  return /[^0 ]/.test(serial)
    ? []
    : [`serial: the serial number “${serial}” names no token, so nobody can tell one from another, and a fleet takes only one like it.`];
}

const notTried = (profile: Profile, attacked: boolean): string[] => [
  'token objects: the probe makes none, so whether there is room for six keys and one object shows at provisioning',
  ...(attacked
    ? ['unwrapping to a token object, which would outlive the probe where it is accepted']
    : ['what a hostile host could do, since the operations fail']),
  ...(profile.trusted === 'none' ? [] : ['making KEKs TRUSTED, which takes the security officer’s PIN']),
  'load: throughput and what happens when the token goes away',
];

const idOf = (slot: SlotId): number => Number(slot.readBigUInt64LE());

/** The one token that is meant. Throws TOKEN_MISSING. */
export function chooseSlot(slots: readonly SlotReport[], { label, slot }: Pick<ProbeOptions, 'label' | 'slot'>): SlotReport {
  const initialised = slots.filter((report) => report.initialised && report.hasPin);
  const matching = initialised.filter(
    (report) => (label === undefined || report.label === label) && (slot === undefined || report.id === slot),
  );
  const [found, ...others] = matching;
  if (found !== undefined && others.length === 0) return found;
  const list = initialised.map(({ id, label: name }) => `${name} (slot ${id})`).join(', ') || 'none';
  throw new VaultError('TOKEN_MISSING', `${found === undefined ? 'No initialised token fits' : 'Several tokens fit'}; there is: ${list}.`);
}

function slotWith(module: Module, id: number): SlotId {
  const slot = module.C_GetSlotList(true).find((candidate) => idOf(candidate) === id);
  if (slot === undefined) throw new VaultError('TOKEN_MISSING', `Slot ${id} is gone.`);
  return slot;
}

const countObjects = (session: TokenSession): number => session.find({}, 100_000).length;
