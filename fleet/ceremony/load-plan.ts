import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { isVaultError, VaultError } from '../../primitives/errors.ts';
import { parseStatement, type Statement } from '../../protocol/statement.ts';
import { type CeremonyPlan, parsePlan } from '../verify/plan.ts';

/** A plan as read from disk, with all that it names. */
export interface LoadedPlan {
  readonly plan: CeremonyPlan;
  /** The file itself: what is hashed, kept and read aloud. */
  readonly bytes: Uint8Array;
  readonly previous: Statement | undefined;
  /** A path of the plan, from where the plan is. */
  path(name: string): string;
}

/** Throws CONFIG_INVALID naming what is wrong: whoever wrote the plan mends it. */
export function loadPlan(file: string): LoadedPlan {
  const bytes = read(file, 'The plan');
  const path = (name: string) => resolve(dirname(file), name);
  const plan = asConfig(() => parsePlan(bytes));
  const previous =
    plan.previous === undefined ? undefined : asConfig(() => parseStatement(read(path(plan.previous as string), 'The previous statement')));
  return { plan, bytes, previous, path };
}

function read(file: string, what: string): Uint8Array {
  try {
    return readFileSync(file);
  } catch (cause) {
    throw new VaultError('CONFIG_INVALID', `${what} cannot be read: ${(cause as Error).message}`, { cause });
  }
}

function asConfig<T>(parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    throw isVaultError(cause) ? new VaultError('CONFIG_INVALID', cause.message, { cause }) : cause;
  }
}
