import { fromBinary, toBinary } from '@bufbuild/protobuf';
import type { Millis } from '../../primitives/brand.ts';
import { constantTimeEqual } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import { type Hold, HoldSchema } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { HoldState } from '../../proto/gen/backupvault/v1/vault_pb.ts';

// What becomes of an attempt whose code was proved right, where the record has a hold. Pure steps from what is there to what is to be written.

/** A right proof. B must stay the same; the point may get another number. */
export interface Proven {
  /** k */
  readonly attempt: number;
  /** B */
  readonly blindedBase: Uint8Array;
}

/** What the owner says of an attempt, and the signature that shows it. */
export interface Decision {
  readonly attempt: number;
  readonly isVeto: boolean;
  readonly signature: Uint8Array;
  /** Of an approval: B of the proof that it is for. Empty of a veto, which is for all. */
  readonly blindedBase: Uint8Array;
}

/** `next` undefined: nothing to write. `until` undefined: it was released before. */
interface Step {
  readonly next: Hold | undefined;
  readonly until: Millis | undefined;
}

const MOST_SKEW: Millis = 60_000; // of a clock that was set back meanwhile

/**
 * A right proof. The first one begins the hold and fixes B: whoever else knows the code must not ride on it. `until` is when it may be released, 0 where that is now. A time from
 * the future is of a clock that was wrong: the hold begins anew. Throws VETOED, PROOF_CONFLICT.
 */
export function prove(hold: Hold | undefined, { attempt, blindedBase }: Proven, length: Millis, now: Millis): Step {
  if (hold && isVetoed(hold)) throw vetoed();
  if (hold && hold.blindedBase.length > 0 && !constantTimeEqual(hold.blindedBase, blindedBase)) throw conflict();
  if (hold?.released) return { next: undefined, until: undefined };
  const isAnew = !hold || hold.beganAtMs === 0n || Number(hold.beganAtMs) > now + MOST_SKEW;
  const begun = isAnew ? render({ attempt, ...hold, blindedBase, beganAtMs: BigInt(Math.max(1, Math.floor(now))) }) : hold;
  const until = Number(begun.beganAtMs) + length;
  return { next: isAnew ? begun : undefined, until: isApproved(begun) || until <= now ? 0 : until };
}

/** From now on a veto comes too late here. Throws VETOED. */
export function letGo(hold: Hold): Hold | undefined {
  if (isVetoed(hold)) throw vetoed();
  return hold.released ? undefined : { ...hold, released: true };
}

/**
 * The owner's word. A veto is final. An approval is for one base: it fixes that where nothing was proved. Undefined where it is there already. Throws VETOED for an approval of what
 * was vetoed, PROOF_CONFLICT for one of another base than was proved.
 */
export function decide(hold: Hold | undefined, { attempt, isVeto, signature, blindedBase }: Decision): Hold | undefined {
  if (isVeto) return hold && isVetoed(hold) ? undefined : render({ ...hold, attempt, approved: NONE, vetoed: signature });
  if (hold && isVetoed(hold)) throw vetoed();
  if (hold && hold.blindedBase.length > 0 && !constantTimeEqual(hold.blindedBase, blindedBase)) throw conflict();
  return hold && isApproved(hold) ? undefined : render({ ...hold, attempt, blindedBase, approved: signature });
}

/** In a rebuilt guard: of a point that was counted before, and perhaps released. */
export const forgotten = (attempt: number): Hold => render({ attempt, forgotten: true });

const isVetoed = ({ vetoed }: Hold): boolean => vetoed.length > 0;
const isApproved = ({ approved }: Hold): boolean => approved.length > 0;

/** What the owner said of it, if anything. */
export function decisionIn(hold: Hold): Decision | undefined {
  const isVeto = isVetoed(hold);
  const { attempt, approved, vetoed, blindedBase } = hold;
  if (isVeto) return { attempt, isVeto, signature: vetoed, blindedBase: NONE };
  return isApproved(hold) ? { attempt, isVeto, signature: approved, blindedBase } : undefined;
}

/** When it may be released, by this clock; 0 where nothing was proved. */
export const endOf = ({ beganAtMs }: Hold, length: Millis): Millis => (beganAtMs === 0n ? 0 : Number(beganAtMs) + length);

/** Whether every hold ended before a time, by this clock. */
export const areOver = (holds: Iterable<Hold>, length: Millis, before: Millis): boolean =>
  [...holds].every((hold) => endOf(hold, length) <= before);

export function stateOf(hold: Hold): HoldState {
  if (hold.released) return HoldState.RELEASED;
  if (isVetoed(hold)) return HoldState.VETOED;
  return isApproved(hold) ? HoldState.APPROVED : HoldState.HELD;
}

const NONE = new Uint8Array(0);

const render = (hold: Partial<Hold> & Pick<Hold, 'attempt'>): Hold => ({
  blindedBase: NONE,
  beganAtMs: 0n,
  approved: NONE,
  vetoed: NONE,
  released: false,
  forgotten: false,
  ...hold,
  $typeName: 'backupvault.v1.Hold',
});

export const encodeHold = (hold: Hold): Uint8Array => toBinary(HoldSchema, hold);

export const decodeHold = (value: Uint8Array): Hold => fromBinary(HoldSchema, value);

const conflict = () => new VaultError('PROOF_CONFLICT', 'This attempt was proved with another base before; begin a new attempt.');

const vetoed = () => new VaultError('VETOED', 'The owner of the record vetoed this attempt.');
