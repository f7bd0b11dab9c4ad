import { isVaultError, VaultError } from '../../primitives/errors.ts';
import { type CheckCode, checkCodes } from './check-codes.ts';

/** One line of a verification: what was looked at, how it came out, and why. */
export interface Check {
  readonly name: string;
  /** The promise, in plain words. */
  readonly title: string;
  readonly ok: boolean;
  /** What was found, or why it fails. */
  readonly detail: string;
  /** Why it fails; null where it holds, and where it could not be looked at because of an earlier one. */
  readonly code: CheckCode | null;
}

/** FLEET_UNTRUSTED with the check's code in its details. */
export const refuse = (check: CheckCode, detail: string = checkCodes[check], cause?: unknown): VaultError =>
  new VaultError('FLEET_UNTRUSTED', detail, { details: { check }, cause });

/** The code of a refusal, or undefined for any other error. */
export function refusalOf(error: unknown): CheckCode | undefined {
  const check = isVaultError(error, 'FLEET_UNTRUSTED') ? error.details.check : undefined;
  return check !== undefined && Object.hasOwn(checkCodes, check) ? (check as CheckCode) : undefined;
}

/** Whatever a parser of others throws about bytes from outside is a refusal, too. */
export function refusing<T>(check: CheckCode, detail: string, parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    throw refusalOf(cause) === undefined ? refuse(check, detail, cause) : cause;
  }
}

/** What a parser of fleet/log calls MALFORMED is a refusal. `what` stands before its message. */
export function refusingMalformed<T>(check: CheckCode, parse: () => T, what = ''): T {
  try {
    return parse();
  } catch (cause) {
    throw isVaultError(cause, 'MALFORMED') ? refuse(check, `${what}${cause.message}`, cause) : cause;
  }
}

const NOT_CHECKED = 'Not checked, because a check that it rests on failed.';

/** Runs named checks one after another. A check that fails stops those that need its result, and no others. */
export class Checklist {
  readonly #checks: Check[] = [];

  get checks(): readonly Check[] {
    return this.#checks;
  }

  get ok(): boolean {
    return this.#checks.every(({ ok }) => ok);
  }

  /**
   * `look` throws a refusal, or returns the result and what it found. Undefined if it failed, or if one of `needs` did.
   * Errors other than refusals are faults of ours and pass through.
   */
  run<T, N extends readonly unknown[]>(
    name: string,
    title: string,
    needs: readonly [...N],
    look: (...needs: { [I in keyof N]: NonNullable<N[I]> }) => readonly [T, string],
  ): T | undefined {
    if (needs.some((need) => need === undefined)) {
      this.#checks.push({ name, title, ok: false, detail: NOT_CHECKED, code: null });
      return undefined;
    }
    try {
      const [result, detail] = look(...(needs as unknown as { [I in keyof N]: NonNullable<N[I]> }));
      this.#checks.push({ name, title, ok: true, detail, code: null });
      return result;
    } catch (error) {
      const code = refusalOf(error);
      if (code === undefined) throw error;
      this.#checks.push({ name, title, ok: false, detail: (error as VaultError).message, code });
      return undefined;
    }
  }

  /** Throws the first refusal. */
  throwIfRefused(): void {
    const refusal = refusalIn(this.#checks);
    if (refusal) throw refusal;
  }
}

/** The first check that failed, as an error. */
export function refusalIn(checks: readonly Check[]): VaultError | undefined {
  const failed = checks.find(({ code }) => code !== null);
  return failed && refuse(failed.code as CheckCode, failed.detail);
}
