import { constantTimeEqual } from '../primitives/bytes.ts';
import { VaultError } from '../primitives/errors.ts';
import { type Described, describe, describeIfKnown, type HeldAttempt } from './describe.ts';
import { describeLeft } from './draining.ts';
import type { Vault } from './vault.ts';

/** Of two fleets of which one replaces the other; `new` also where none is being replaced. */
export type Side = 'old' | 'new';

/**
 * What the other fleet has of the same name. `none`: no record, or a tombstone. `same-owner`: one that names the same owner key, as where a
 * move stopped half-way. `contested`: one that does not: one of both is not the user's. `unknown`: the old fleet could not be asked.
 */
export type Rival = 'none' | 'same-owner' | 'contested' | 'unknown';

/** An attempt that is held, and where. */
export interface HeldAt extends HeldAttempt {
  readonly fleet: Side;
}

/** As Described has it: a coordinator's word. */
export interface Description extends Omit<Described, 'held'> {
  readonly fleet: Side;
  /** In both fleets, while one replaces another. */
  readonly held: readonly HeldAt[];
  readonly rival: Rival;
}

/** A record, the fleet that has it, and what the other one has. */
export interface Located {
  readonly vault: Vault;
  readonly current: Description;
  readonly other: Other;
}

export type Other = Described | 'unknown' | undefined;

/** What is beside the record of this owner. */
export function rivalOf(ownerKey: Uint8Array, other: Other): Rival {
  if (other === 'unknown') return 'unknown';
  if (!other || other.state === 'erased') return 'none';
  return constantTimeEqual(other.ownerKey, ownerKey) ? 'same-owner' : 'contested';
}

/**
 * The record that is meant: that of the fleet which the app names, else the one that counts. Throws RECORD_UNKNOWN, and what the old fleet says
 * where only that one can have it.
 */
export async function locate(vault: Vault, recordId: string, from?: Side): Promise<Located> {
  const { draining } = vault;
  if (!draining && from !== 'old') return located(vault, 'new', await describe(vault, recordId), undefined);
  const { moved, left } = await look(vault, recordId, from);
  const fleet = from ?? whichCounts(moved, left);
  if (fleet === 'new' && moved) return located(vault, fleet, moved, left);
  if (fleet === 'old' && draining && left && left !== 'unknown') return located(draining, fleet, left, moved);
  throw new VaultError('RECORD_UNKNOWN', 'There is no such record; enrol first.');
}

function located(vault: Vault, fleet: Side, described: Described, other: Other): Located {
  const there = fleet === 'new' ? 'old' : 'new';
  const elsewhere = other && other !== 'unknown' ? other.held : [];
  const held = [...described.held.map((each) => ({ ...each, fleet })), ...elsewhere.map((each) => ({ ...each, fleet: there }) as const)];
  return { vault, current: { ...described, fleet, held, rival: rivalOf(described.ownerKey, other) }, other };
}

/** What both fleets have. An old one that does not answer must not keep a record of the new one from its owner. */
async function look(vault: Vault, recordId: string, from: Side | undefined): Promise<{ moved: Described | undefined; left: Other }> {
  const moved = await describeIfKnown(vault, recordId);
  let left: Other;
  try {
    left = await describeLeft(vault, recordId);
  } catch (error) {
    if (!moved || from === 'old') throw error;
    left = 'unknown';
  }
  if (moved || (left && left !== 'unknown' && left.state !== 'erased')) return { moved, left };
  return { moved: await describeIfKnown(vault, recordId), left }; // moved by another device, between the two looks
}

/**
 * The new fleet's, whatever its state: one that was exhausted or erased there must not come back to life with the attempts of the old fleet.
 * But whoever is signed in may enrol there, with neither code nor backup key, before the record moved. So the old one counts against a record
 * of another owner: there the code counts as it always did. At a squatter's record it would be wrong, and where he had guessed it, the device
 * would take his backup key for the user's (docs/adr/0024).
 */
function whichCounts(moved: Described | undefined, left: Other): Side {
  if (!moved) return left ? 'old' : 'new';
  return moved.state !== 'erased' && rivalOf(moved.ownerKey, left) === 'contested' ? 'old' : 'new';
}
