import { refusalOf, refuse } from '../fleet/verify/checks.ts';
import { constantTimeEqual } from '../primitives/bytes.ts';
import { isVaultError, VaultError } from '../primitives/errors.ts';
import type { SecretBytes } from '../primitives/secret-bytes.ts';
import type { Statement } from '../protocol/statement.ts';
import { ownerKey } from './derive.ts';
import { type Described, describe, describeIfKnown } from './describe.ts';
import { type ErasureResult, eraseGeneration } from './erase.ts';
import type { Fleet } from './fleet.ts';
import { putList, readBeside } from './list.ts';
import type { VaultTransport } from './transport.ts';
import type { Trust } from './trust.ts';
import { ridOf, type Vault } from './vault.ts';

// While one fleet replaces another, each record is in the old one, then in both, then in the new one alone, and never in none.

/** A fleet that is being replaced. It has the new one's name, an older epoch, and tokens and a store of its own. */
export interface DrainingFleet {
  readonly transport: VaultTransport;
  /** Its statements are accepted from this epoch on, although newer ones were seen. */
  readonly epochLeast: number;
}

/**
 * What became of the record in the fleet that is being replaced, once t replicas of the new one signed that they serve theirs.
 * `kept`: it holds another backup key, or was enrolled there anew meanwhile, and is left alone. `misdirected`: what should be the old
 * fleet is the new one, or not older than it; nothing was looked for there, correct its address. `unknown`: the next recovery or enrolment
 * tries again.
 */
export type Drained =
  | { readonly state: 'nothing' }
  | { readonly state: 'erased' }
  | { readonly state: 'kept' }
  | { readonly state: 'misdirected'; readonly error: unknown }
  | { readonly state: 'unknown'; readonly error: unknown };

/** Trust in a fleet only while it is one that `successor` replaces: what is erased there must never be erased at the successor. */
export const trustReplaced = (trust: Trust, successor: Fleet): Trust => ({
  async believe(claim) {
    const believed = await trust.believe(claim);
    const [there, here] = [believed.statement, await successor.statement()];
    if (there.epoch >= here.epoch || shareKeys(there, here))
      throw refuse(
        'fleet-not-older',
        `Where the fleet that is being replaced should be is one of epoch ${there.epoch}, and the new one is of epoch ${here.epoch}: correct its address.`,
      );
    return believed;
  },
});

/** Then they are one fleet, whatever their epochs: another has tokens of its own. */
function shareKeys(one: Statement, other: Statement): boolean {
  const keysOf = ({ document }: Statement) =>
    document.replicas.flatMap((replica) => [replica.oprf_key, replica.release_key, replica.receipt_key]);
  const known = new Set(keysOf(other));
  return keysOf(one).some((key) => known.has(key));
}

const isMisdirected = (error: unknown): boolean => refusalOf(error) === 'fleet-not-older';

/** What the old fleet has. A fleet that is not older is no old fleet, and has nothing. */
export async function describeLeft({ draining }: Vault, recordId: string): Promise<Described | undefined> {
  if (!draining) return undefined;
  try {
    return await describeIfKnown(draining, recordId);
  } catch (error) {
    if (isMisdirected(error)) return undefined;
    throw error;
  }
}

/**
 * What the old fleet has of a record that will be enrolled at the new one where there is none, to be erased afterwards: its g.
 * Throws OWNER_REFUSED where it was enrolled with another backup key, as the new fleet would.
 */
export async function toBeMoved(vault: Vault, recordId: string, backupKey: SecretBytes): Promise<Uint8Array | undefined> {
  const left = await describeLeft(vault, recordId);
  if (!left || left.state === 'erased') return undefined;
  if (!constantTimeEqual(left.ownerKey, ownerKey(backupKey, ridOf(vault, recordId)).publicKey))
    throw new VaultError(
      'OWNER_REFUSED',
      'The fleet that is being replaced has a record of another backup key: recover it first, or have the frontend erase it.',
    );
  return left.g;
}

/** The new fleet's record, as it is served now. */
interface Served {
  readonly recordId: string;
  /** The generation that was just enrolled. */
  readonly g: Uint8Array;
  /** Of its backup key, and of the one that it took the place of: their holder enrolled it. */
  readonly ownerKeys: readonly Uint8Array[];
  /** The old fleet's generation that was moved, where that is known: a later one is another enrolment. */
  readonly moved: Uint8Array | undefined;
}

/** Never throws: the new fleet has the record. What its owner keeps beside it moves along before it is erased. */
export async function drain(vault: Vault, { recordId, g, ownerKeys, moved }: Served): Promise<Drained> {
  const { draining } = vault;
  if (!draining) return { state: 'nothing' };
  try {
    const left = await describeIfKnown(draining, recordId);
    if (!left || left.state === 'erased' || constantTimeEqual(left.g, g)) return { state: 'nothing' };
    const isOwn = ownerKeys.some((ownerKey) => constantTimeEqual(left.ownerKey, ownerKey));
    if (!isOwn || (moved !== undefined && !constantTimeEqual(left.g, moved))) return { state: 'kept' };
    await carryList(draining, vault, recordId);
    await eraseGeneration(draining, recordId, left.g);
    return { state: 'erased' };
  } catch (error) {
    return { state: isMisdirected(error) ? 'misdirected' : 'unknown', error };
  }
}

/** As it is signed: both fleets have one name. Under another owner key it is not carried: nobody could take it for the new owner's. */
async function carryList(from: Vault, to: Vault, recordId: string): Promise<void> {
  const [there, here] = [await readBeside(from, recordId), await readBeside(to, recordId)];
  const isNewer = there.list && there.list.counter > (here.list?.counter ?? 0n);
  if (there.list && isNewer && constantTimeEqual(there.ownerKey, here.ownerKey)) await putList(to, recordId, here, there.list);
}

/** In both fleets, the old one first: else a recovery in between would move it back. Whoever's they are. Throws RECORD_UNKNOWN if neither has it. */
export async function eraseEverywhere(vault: Vault, recordId: string): Promise<ErasureResult> {
  const left = await describeLeft(vault, recordId);
  const erased = vault.draining && left && (await eraseGeneration(vault.draining, recordId, left.g));
  try {
    const { g } = await describe(vault, recordId);
    return await eraseGeneration(vault, recordId, g);
  } catch (error) {
    if (erased && isVaultError(error, 'RECORD_UNKNOWN')) return erased;
    throw error;
  }
}
