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

/** Fresh seeds, a full budget of attempts, missing shares made good. The recovery has succeeded already: this never throws. */
export async function renew(vault: Vault, plan: EnrolmentPlan, progress: Progress): Promise<Renewal> {
  let enrolment: Enrolment | undefined;
  try {
    enrolment = await beginEnrolment(vault, plan, progress);
    progress('storing');
    return { state: 'renewed', result: await enrolment.finish() };
  } catch (error) {
    return enrolment?.isInDoubt ? { state: 'unknown', enrolment, error } : { state: 'failed', error };
  }
}
