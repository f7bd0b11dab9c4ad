import type { Millis } from '../../../primitives/brand.ts';
import { VaultError } from '../../../primitives/errors.ts';
import type { SecretBytes } from '../../../primitives/secret-bytes.ts';
import { type ModuleReport, missingMechanisms, type SlotReport } from '../pkcs11/inspect.ts';
import type { Profile } from '../profile.ts';
import { type End, inChild } from './in-child.ts';
import type { Answers, Job, Place, Step, StepResult, TrialResult } from './messages.ts';
import { allProbes, isEnforced, type ProbeResult } from './probes.ts';
import { trials } from './trial.ts';
import type { Kept } from './trial-keys.ts';
import { brokenRules, guardRisks, notes, otherRisks, unshownRules } from './verdict.ts';

interface Choice {
  /** Both may be left out where only one token is initialised. */
  readonly label?: string | undefined;
  readonly slot?: bigint | undefined;
}

export interface ProbeOptions extends Choice {
  readonly module: string;
  readonly initParameters?: string | undefined;
  readonly profile: Profile;
  readonly pin: SecretBytes;
  /** After which a step hangs. */
  readonly patience?: Millis;
}

export type Verdict = 'fit' | 'fit with risks' | 'not fit';

export interface ProbeReport {
  readonly library: string;
  readonly token: Pick<SlotReport, 'label' | 'manufacturer' | 'model' | 'serial'> & { readonly slot: string };
  readonly profile: string;
  readonly basis: Profile['basis'];
  readonly verdict: Verdict;
  /** Why it is not fit. */
  readonly because: readonly string[];
  readonly risks: readonly string[];
  /** What has to be known of a token that is fit. */
  readonly notes: readonly string[];
  readonly operations: readonly TrialResult[];
  /** What a hostile host could try. */
  readonly attacks: readonly ProbeResult[];
  readonly notTried: readonly string[];
  /** All that a session sees: the probe leaves nothing behind. `swept`: what an earlier one did, which was cut off. */
  readonly objects: { readonly before: number; readonly after: number; readonly swept: number };
}

const PATIENCE: Millis = 30_000;
const ROUNDS = 5;
const WHOLE_TEST = 4; // of which a step is a small part

/** Tries whether a token would do. Each step is a process of its own, or shares one up to a step that ends it. */
export async function probeToken(options: ProbeOptions): Promise<ProbeReport> {
  const { profile } = options;
  const run = new Run(options);
  const { library, slots } = await run.inspect();
  const chosen = chooseSlot(slots, options);
  const { swept, objects: before } = await run.sweep(chosen.id);
  const { because: reasons, ...found } = await tryAll(run, chosen, profile);
  const { swept: left, objects: after } = await run.sweep(chosen.id);
  const objects = { before, after, swept };
  const because = [...reasons, ...leftBehind(objects, left)];
  const verdict = because.length > 0 ? 'not fit' : found.risks.length > 0 ? 'fit with risks' : 'fit';
  const { id, label, manufacturer, model, serial } = chosen;
  const token = { slot: String(id), label, manufacturer, model, serial };
  return { library, token, profile: profile.vendor, basis: profile.basis, verdict, because, ...found, notes: notes(profile), objects };
}

type Found = Pick<ProbeReport, 'because' | 'risks' | 'operations' | 'attacks' | 'notTried'>;

async function tryAll(run: Run, slot: SlotReport, profile: Profile): Promise<Found> {
  const because = missingMechanisms(slot, profile).map((name) => `it does not list the mechanism for ${name}`);
  const { kept, results } = await run.operate(slot.id);
  const risks = otherRisks(slot);
  const [made, ...tried] = results;
  if (!made?.works) {
    because.push(`it does not make the vault’s keys as this profile states them: ${made?.why}`);
    return { because, risks, operations: results, attacks: [], notTried: ['everything that needs keys'] };
  }
  const serving = await run.serve(slot);
  const operations = [...results, serving];
  because.push(...failures(operations));
  // Without the operations themselves, refusals prove nothing.
  if (!tried.every(({ works }) => works))
    return { because, risks, operations, attacks: [], notTried: ['what a hostile host could do, since the operations fail'] };
  const { attacks, controls } = await run.attack(slot.id, kept, profile);
  because.push(...brokenRules(attacks), ...unshownRules(attacks));
  // Nor do they if the keys that were attacked were dead.
  because.push(
    ...controls
      .filter(({ works }) => !works)
      .map(({ name, why }) => `“${name}” failed after the attacks, with the same keys (${why}): what it refused proves nothing`),
  );
  return { because, risks: [...guardRisks(attacks), ...risks], operations, attacks, notTried: NOT_TRIED };
}

const NOT_TRIED = [
  'load: throughput, and what happens when the token goes away',
  'a second set of keys beside the first: `bkvctl keys rotate` makes one',
];

const failures = (operations: readonly TrialResult[]): string[] =>
  operations.flatMap(({ name, works, why, refused }) => {
    if (works) return [];
    const { without, fields } = trials.find((trial) => trial.name === name) ?? servings[name] ?? { without: '', fields: '' };
    const what = refused === undefined ? '' : `; it refuses ${refused === 'mechanism' ? 'a mechanism' : 'an attribute'}`;
    return [`“${name}” failed (${why}${what}): ${without}. Fields of the profile: ${fields}`];
  });

const SERVE = 'serve with token objects';
const FINALISE = 'give the module back';
const servings: Readonly<Record<string, { readonly without: string; readonly fields: string }>> = {
  [SERVE]: {
    without:
      'the daemon would end at its start: keys made in the token, closed, opened by another process and used do not do what they should',
    fields: 'those of the step that failed',
  },
  [FINALISE]: { without: 'the daemon could not start the module again where it leaks, nor end as asked', fields: 'recycleAfterObjects' },
};

function leftBehind({ before, after }: ProbeReport['objects'], left: number): string[] {
  if (before === after && left === 0) return [];
  return [
    `there were ${before} objects before and ${after + left} after: either it keeps what was made for the session alone or was destroyed, or another application works with it meanwhile (probe it alone, then)`,
  ];
}

/** The probe's jobs on one token. */
class Run {
  readonly #place: Place;
  readonly #pin: SecretBytes;
  readonly #patience: Millis;

  constructor({ module, initParameters, profile, pin, patience = PATIENCE }: ProbeOptions) {
    this.#place = { module, initParameters, profile };
    this.#pin = pin;
    this.#patience = patience;
  }

  inspect(): Promise<ModuleReport> {
    return inspectInChild(this.#place, this.#patience);
  }

  async sweep(slot: bigint): Promise<Answers['sweep']> {
    return whole(await inChild({ place: this.#place, pin: this.#pin, job: { kind: 'sweep', slot }, patience: this.#patience }));
  }

  /** The first result is that of making the keys: as session objects; where a device makes only token objects, as those. */
  async operate(slot: bigint): Promise<{ kept: Kept; results: TrialResult[] }> {
    const inSession = await this.#operate(slot, 'session', 'make the four keys');
    if (inSession[0]?.works || inSession[0]?.refused !== 'attribute') return { kept: 'session', results: inSession };
    const inToken = await this.#operate(slot, 'token', 'make the four keys as token objects');
    return { kept: 'token', results: inToken[0]?.works ? inToken : inSession };
  }

  async #operate(slot: bigint, kept: Kept, making: string): Promise<TrialResult[]> {
    const tried = trials.map(({ name, isLong }): Step => ({ kind: 'trial', name, rounds: isLong ? 1 : ROUNDS }));
    return (await this.#steps(slot, kept, [{ kind: 'keys', name: making }, ...tried])) as TrialResult[];
  }

  async attack(slot: bigint, kept: Kept, profile: Profile): Promise<{ attacks: ProbeResult[]; controls: TrialResult[] }> {
    const attempts = allProbes.map(({ name }): Step => ({ kind: 'attack', name }));
    const again = trials.map(({ name }): Step => ({ kind: 'trial', name }));
    const results = await this.#steps(slot, kept, [...attempts, ...again]);
    const attacks = results.filter((result): result is ProbeResult => 'outcome' in result);
    const controls = results.filter((result): result is TrialResult => 'works' in result);
    return { attacks: attacks.map((attack) => ({ ...attack, required: isEnforced(attack.stoppedBy, profile) })), controls };
  }

  /** The same objects that would serve: made, closed, opened by another process as the daemon opens them, and tested as it tests them. */
  async serve(slot: SlotReport): Promise<TrialResult> {
    const result = await this.#serve(slot);
    await this.sweep(slot.id);
    return result;
  }

  async #serve({ id: slot, label: tokenLabel }: SlotReport): Promise<TrialResult> {
    for (const job of [
      { kind: 'make', slot },
      { kind: 'serve', tokenLabel },
    ] as const) {
      const patience = WHOLE_TEST * this.#patience;
      const end = await inChild({ place: this.#place, pin: this.#pin, job, patience });
      if (end.kind === 'failed' && ['INTERNAL', 'TOKEN_UNAVAILABLE', 'PIN_REFUSED'].includes(end.error.code)) throw end.error;
      if (end.kind === 'died') return { name: SERVE, works: false, why: `the module ${end.how}` };
      if (end.kind === 'failed') {
        const refused = end.refused === undefined ? {} : { refused: end.refused };
        return { name: SERVE, works: false, why: end.error.message.replace(/\.$/, ''), ...refused };
      }
    }
    return { name: SERVE, works: true };
  }

  /** A step that ends the process is a row; the others are done in a new one. */
  async #steps(slot: bigint, kept: Kept, asked: readonly Step[]): Promise<StepResult[]> {
    const results: StepResult[] = [];
    for (let left = asked; left.length > 0; left = asked.slice(results.length)) {
      const end = await inChild({
        place: this.#place,
        pin: this.#pin,
        job: { kind: 'bench', slot, kept, steps: left },
        patience: this.#patience,
        onDone: (_, result) => results.push(result),
      });
      if (end.kind === 'failed') throw end.error;
      if (end.kind === 'over') break;
      if (end.step === undefined && results.length < asked.length) throw died(end.how);
      results.push(end.step ? ended(end.step, `the module ${end.how}`) : { name: FINALISE, works: false, why: `the module ${end.how}` });
    }
    return results;
  }
}

/** What the module and its tokens say of themselves, without a login. */
export const inspectInChild = async (place: Place, patience: Millis = PATIENCE): Promise<ModuleReport> =>
  whole(await inChild({ place, job: { kind: 'inspect' }, patience }));

function whole<Kind extends Job['kind']>(end: End<Kind>): Answers[Kind] {
  if (end.kind === 'over') return end.answer;
  throw end.kind === 'failed' ? end.error : died(end.how);
}

const died = (how: string): VaultError =>
  new VaultError(
    'TOKEN_FAULT',
    `The module ${how}. It may want parameters or variables: \`initParameters\` and \`environment\` of a profile.`,
  );

function ended({ kind, name }: Step, why: string): StepResult {
  if (kind !== 'attack') return { name, works: false, why };
  const stoppedBy = allProbes.find((probe) => probe.name === name)?.stoppedBy ?? 'attributes';
  return { name, stoppedBy, outcome: 'could not be tried', answer: why, required: true };
}

/** The one token that is meant. Throws TOKEN_MISSING. */
export function chooseSlot(slots: readonly SlotReport[], { label, slot }: Choice): SlotReport {
  const initialised = slots.filter((report) => report.initialised && report.hasPin);
  const matching = initialised.filter(
    (report) => (label === undefined || report.label === label) && (slot === undefined || report.id === slot),
  );
  const [found, ...others] = matching;
  if (found !== undefined && others.length === 0) return found;
  const list = initialised.map(({ id, label: name }) => `${name} (slot ${id})`).join(', ') || 'none';
  throw new VaultError('TOKEN_MISSING', `${found === undefined ? 'No initialised token fits' : 'Several tokens fit'}; there is: ${list}.`);
}
