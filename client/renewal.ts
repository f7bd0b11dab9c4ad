import { isVaultError } from '../primitives/errors.ts';
import { beginEnrolment, type EnrolmentPlan } from './begin-enrolment.ts';
import type { Enrolment, EnrolmentResult } from './enrolment.ts';
import type { Progress, Vault } from './vault.ts';

/**
 * What became of the re-enrolment after a recovery. `unknown`: call `enrolment.finish()` later, the record may be the old one or
 * the new one and either opens with the code. `failed`: the old one is in force, with the attempts it has left.
 */
export type Renewal =
  | { readonly state: 'renewed'; readonly result: EnrolmentResult }
  | { readonly state: 'unknown'; readonly enrolment: Enrolment; readonly error: unknown }
  | { readonly state: 'failed'; readonly error: unknown }
  | { readonly state: 'skipped' };

// Each generation is one more evaluation of the code under keys of its own. A vault that kept asking to try again would get
// guesses that way, so one entry of a code makes very few.
const MOST_GENERATIONS = 2;

/** Fresh keys, a full budget of attempts, missing shares made good. The recovery has succeeded already: this never throws. */
export async function renew(vault: Vault, plan: EnrolmentPlan, progress: Progress): Promise<Renewal> {
  let enrolment: Enrolment | undefined;
  for (let generation = 1; ; generation++)
    try {
      enrolment = undefined;
      enrolment = await beginEnrolment(vault, plan, progress);
      progress('storing');
      return { state: 'renewed', result: await enrolment.finish() };
    } catch (error) {
      if (enrolment && isVaultError(error, 'OUTCOME_UNKNOWN')) return { state: 'unknown', enrolment, error };
      // Tickets that ran out while the device slept are the one failure that a second generation mends.
      if (!isVaultError(error, 'TICKET_EXPIRED') || generation === MOST_GENERATIONS) return { state: 'failed', error };
    }
}
