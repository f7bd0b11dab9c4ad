import { isVaultError, VaultError } from '../../primitives/errors.ts';
import type { SecretBytes } from '../../primitives/secret-bytes.ts';
import { inspectModule, missingMechanisms, type SlotReport } from './inspect.ts';
import { type Module, openModule, type SlotId } from './module.ts';
import type { Guard, Probe } from './probe.ts';
import { allProbes, isEnforced, type ProbeResult, runProbe } from './probes.ts';
import type { Profile } from './profile.ts';
import type { ReplicaToken } from './replica.ts';
import { TokenSession } from './session.ts';
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
  const { library, slots } = inspectModule(options.module, options.initParameters);
  const chosen = choose(slots, options);
  const module = openModule(options.module, options.initParameters);
  try {
    const slot = slotWith(module, chosen.id);
    const anchor = new TokenSession(module, slot); // whoever closes the last session logs out
    anchor.login(options.profile.userType, options.pin);
    const before = countObjects(anchor);
    const found = probeLoggedIn(module, slot, chosen, options.profile);
    const objects = { before, after: countObjects(anchor) };
    anchor.close();
    const { id, label, manufacturer, model, serial } = chosen;
    const token = { id, label, manufacturer, model, serial };
    return { library, token, profile: options.profile.vendor, basis: options.profile.basis, ...found, objects };
  } finally {
    module.C_Finalize();
  }
}

type Found = Omit<ProbeReport, 'library' | 'token' | 'profile' | 'basis' | 'objects'>;

function probeLoggedIn(module: Module, slot: SlotId, report: SlotReport, profile: Profile): Found {
  const because = missingMechanisms(report, profile).map((name) => `it does not list the mechanism for ${name}`);
  const bench = new Bench(module, slot, profile);
  try {
    const refusal = bench.whyNoKeys();
    if (refusal !== undefined) {
      because.push(`it does not make the vault’s keys as this profile states them: ${refusal}`);
      return { verdict: 'not fit', because, risks: [], operations: [], attacks: [], notTried: ['everything that needs keys'] };
    }
    const operations = trials.map((trial) => bench.try(trial));
    because.push(
      ...operations.flatMap(({ works, why }, i) => (works ? [] : [`“${operations[i]?.name}” failed (${why}): ${trials[i]?.without}`])),
    );
    const tried = allProbes.filter(({ makesTokenObject }) => makesTokenObject !== true);
    // Without the operations themselves, refusals prove nothing.
    const attacks = because.length > 0 ? [] : tried.map((probe) => bench.attack(probe));
    because.push(...brokenRules(attacks));
    const risks = [...guardRisks(attacks), ...otherRisks(report)];
    const verdict = because.length > 0 ? 'not fit' : risks.length > 0 ? 'fit with risks' : 'fit';
    return { verdict, because, risks, operations, attacks, notTried: notTried(profile, attacks.length > 0) };
  } finally {
    bench.close();
  }
}

const ROUNDS = 5;

/** A session with a replica's keys in it, made anew whenever an attack may have changed them. */
class Bench {
  readonly #timed: TimedModule;
  readonly #slot: SlotId;
  readonly #profile: Profile;
  #session: TokenSession;
  #token: ReplicaToken | undefined;

  constructor(module: Module, slot: SlotId, profile: Profile) {
    this.#timed = new TimedModule(module);
    this.#slot = slot;
    this.#profile = profile;
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

  try({ name, run }: Trial): TrialResult {
    const token = this.#keys();
    try {
      const took = Array.from({ length: ROUNDS }, () => {
        this.#timed.reset();
        run(token);
        return this.#timed.spent;
      });
      const median = took.sort((a, b) => a - b)[ROUNDS >> 1] as number;
      return { name, works: true, micros: Math.round(median * 1000), calls: this.#timed.calls };
    } catch (error) {
      const why = this.#reason(error);
      this.#renew(); // what failed half-way may have left its operation under way
      return { name, works: false, why };
    }
  }

  attack(probe: Probe): ProbeResult {
    const token = this.#keys();
    // What is stopped by trust needs no trusted KEK: the keys themselves ask for one.
    const profile = probe.stoppedBy === 'trusted' ? this.#profile : token.profile;
    const required = isEnforced(probe.stoppedBy, this.#profile);
    try {
      const result = runProbe({ ...token, profile }, probe);
      if (!result.refused) this.#renew();
      return { ...result, required };
    } catch (error) {
      return { name: probe.name, stoppedBy: probe.stoppedBy, refused: true, answer: this.#reason(error), required };
    }
  }

  /** Why the token does not do something. Throws what says nothing about that: faults of ours, and that the token is gone. */
  #reason(error: unknown): string {
    if (!isVaultError(error)) throw error;
    if (error.code === 'TOKEN_UNAVAILABLE') this.#session.find({}, 1); // some say so of a key that they do not like
    return error.message.replace(/\.$/, '');
  }

  close(): void {
    this.#session.close();
  }

  #keys(): ReplicaToken {
    this.#token ??= makeTrialKeys(this.#timed.module, this.#slot, this.#session, this.#profile);
    return this.#token;
  }

  #open = (): TokenSession => new TokenSession(this.#timed.module, this.#slot);

  /** Its keys go with the session, and so does an operation that an accepted attack left under way. */
  #renew(): void {
    this.#session.close();
    this.#token = undefined;
    this.#session = this.#open();
  }
}

/** A rule that the profile states and the token breaks. The daemon would refuse to start. */
function brokenRules(attacks: readonly ProbeResult[]): string[] {
  const broken = attacks.filter(({ required, refused }) => required && !refused);
  const guards = [...new Set(broken.map(({ stoppedBy }) => stoppedBy))];
  return guards.map((guard) => {
    const names = broken.filter(({ stoppedBy }) => stoppedBy === guard).map(({ name }) => name);
    const remedy =
      guard === 'attributes'
        ? ''
        : ` (a copy of the profile that says so, ${guard}: ${guard === 'trusted' ? 'none' : 'false'}, accepts that as a risk)`;
    return `it breaks a rule that its profile states, ${rules[guard]}${remedy}; it accepts: ${names.join('; ')}`;
  });
}

/** One sentence for each rule that the token does not follow and the profile does not state. */
function guardRisks(attacks: readonly ProbeResult[]): string[] {
  const accepted = attacks.filter(({ refused, required }) => !refused && !required);
  const guards = [...new Set(accepted.map(({ stoppedBy }) => stoppedBy))];
  return guards.map((guard) => `${guard}: ${risks[guard]}`);
}

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

function choose(slots: readonly SlotReport[], { label, slot }: Pick<ProbeOptions, 'label' | 'slot'>): SlotReport {
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
