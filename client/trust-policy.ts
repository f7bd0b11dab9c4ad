import { refuse } from '../fleet/verify/checks.ts';
import type { Millis } from '../primitives/brand.ts';
import { VaultError } from '../primitives/errors.ts';

/** Whom a device believes about the fleet's keys. There is no default: a policy that is forgotten must not compile. */
export type TrustPolicy = PinnedPolicy | WitnessedPolicy;

/** For a fleet whose statements are known when the app is built. */
export interface PinnedPolicy {
  readonly kind: 'pinned';
  /** SHA-256 of each canonical statement that the app was built to accept. */
  readonly statementHashes: readonly Uint8Array[];
}

/** For a fleet whose statements operator and witness sign and the witness's log holds: new epochs need no new app. */
export interface WitnessedPolicy {
  readonly kind: 'witnessed';
  /** Certificate authorities, PEM or DER. */
  readonly operatorCa: string | Uint8Array;
  readonly witnessCa: string | Uint8Array;
  /** The log's key, other parties that cosign its checkpoints, and which of them must have: a file of c2sp.org/tlog-policy, of one log. */
  readonly logPolicy: string | Uint8Array;
  /** Statements of older epochs are refused, also by a device that remembers nothing. */
  readonly epochLeast: number;
  /** Any t replicas must be of so many different operators, as the statement names them. 1 demands nothing. */
  readonly operatorsLeast: number;
  /** How old what the log says may be. */
  readonly checkpointAgeMost: Millis;
  /** For one fleet alone. */
  readonly memory: TrustMemory;
}

/** What a device keeps, so that nobody can show it the past, or another history. */
export interface TrustMemory {
  /** Undefined on a device that saw no statement yet. Must throw for what is damaged: to forget is to trust again. */
  load(): Promise<Remembered | undefined>;
  /** Durable when it resolves. */
  save(remembered: Remembered): Promise<void>;
}

export interface Remembered {
  /** The highest epoch seen: older ones are refused. */
  readonly epochLeast: number;
  /** The last checkpoint that was believed. */
  readonly checkpoint: { readonly origin: string; readonly size: number; readonly root: Uint8Array };
}

/** Numbers that are missing or none would compare as if all were well. Throws MALFORMED. */
export function expectStrict({ epochLeast, operatorsLeast, checkpointAgeMost }: WitnessedPolicy): void {
  expectEpoch(epochLeast);
  if (!Number.isSafeInteger(operatorsLeast) || operatorsLeast < 1) throw malformed('operatorsLeast must be a whole number from 1');
  if (!Number.isFinite(checkpointAgeMost) || checkpointAgeMost <= 0) throw malformed('checkpointAgeMost must be a span of time');
}

/** Throws MALFORMED. */
export function expectEpoch(epochLeast: number): void {
  if (!Number.isSafeInteger(epochLeast) || epochLeast < 1) throw malformed('epochLeast must be a whole number from 1');
}

/** What an app's store gives back. A number that is none would let every epoch pass. Throws FLEET_UNTRUSTED. */
export function expectRemembered(loaded: unknown): Remembered | undefined {
  if (loaded === undefined) return undefined;
  const { epochLeast, checkpoint } = (loaded ?? {}) as Partial<Remembered>;
  const { origin, size, root } = (checkpoint ?? {}) as Partial<Remembered['checkpoint']>;
  if (!isWhole(epochLeast, 1)) throw damaged('its epoch is no whole number from 1');
  if (typeof origin !== 'string') throw damaged('its checkpoint names no log');
  if (!isWhole(size, 0)) throw damaged('the size of its checkpoint is no whole number');
  if (!(root instanceof Uint8Array) || root.length !== 32) throw damaged('the root of its checkpoint is not 32 bytes');
  return { epochLeast, checkpoint: { origin, size, root } };
}

const isWhole = (value: unknown, least: number): value is number => Number.isSafeInteger(value) && (value as number) >= least;

const damaged = (why: string) =>
  refuse(
    'memory-damaged',
    `What the device remembers of the fleet is damaged: ${why}. Restore it; if it must be removed, look why first: then whatever the policy's lowest epoch allows is accepted again.`,
  );

const malformed = (why: string) => new VaultError('MALFORMED', `The trust policy is wrong: ${why}.`);
