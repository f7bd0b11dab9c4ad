import type { ErrorCode } from '../../../primitives/errors.ts';
import type { Refused } from '../pkcs11/failure.ts';
import type { ModuleReport } from '../pkcs11/inspect.ts';
import type { ModulePlace } from '../pkcs11/module.ts';
import type { Profile } from '../profile.ts';
import type { ProbeResult } from './probes.ts';
import type { Kept } from './trial-keys.ts';

// What crosses the boundary of the probe's child processes. The PIN does, and neither arguments nor environment ever hold it.

/** Where a token is. */
export interface Place extends ModulePlace {
  readonly profile: Profile;
}

/** What one child does. `pin` is absent where nobody logs in. */
export interface Task {
  readonly place: Place;
  readonly pin?: Uint8Array;
  readonly job: Job;
}

export type Job =
  | { readonly kind: 'inspect' }
  /** Counts the objects of the token, once those under the probe's label are destroyed. */
  | { readonly kind: 'sweep'; readonly slot: bigint }
  /** Each by its name, in this order. */
  | { readonly kind: 'bench'; readonly slot: bigint; readonly kept: Kept; readonly steps: readonly Step[] }
  /** Makes a replica's token objects under the probe's label. */
  | { readonly kind: 'make'; readonly slot: bigint }
  /** Opens them as a daemon does, and tests them as it does at its start. */
  | { readonly kind: 'serve'; readonly tokenLabel: string };

/** What a job answers in the end. */
export interface Answers {
  readonly inspect: ModuleReport;
  readonly sweep: { readonly swept: number; readonly objects: number };
  readonly bench: undefined;
  readonly make: undefined;
  readonly serve: undefined;
}

export interface Step {
  readonly kind: 'keys' | 'trial' | 'attack';
  readonly name: string;
  /** Of a trial: how often, for the median of its time. */
  readonly rounds?: number;
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
  /** What of the call it was that the token refused, as far as it says. */
  readonly refused?: Refused;
}

export type StepResult = TrialResult | ProbeResult;

export type FromChild =
  | { readonly kind: 'began'; readonly step: Step }
  | { readonly kind: 'done'; readonly result: StepResult }
  | { readonly kind: 'over'; readonly answer: unknown }
  | { readonly kind: 'failed'; readonly code: ErrorCode; readonly message: string; readonly refused?: Refused };
