import { VaultError } from '../primitives/errors.ts';
import { normaliseCode } from './code.ts';
import { GENERATED_LENGTH, hasRightCheckDigits } from './code-generator.ts';
import { weaknessOf } from './weak-code.ts';

/**
 * Tells a typing error before anything is sent: of any 18 digits the last two must be right, whoever chose them, so that a
 * generated code needs no mark of its own. Throws CODE_REJECTED. Messages never repeat the code.
 */
export function checkCode(code: string): void {
  const normal = normaliseCode(code);
  if (normal === '') throw rejected('it is empty');
  if (/^\d+$/.test(normal) && normal.length === GENERATED_LENGTH && !hasRightCheckDigits(normal))
    throw rejected(`the check digits of these ${GENERATED_LENGTH} digits are wrong, so there is a typing error`);
}

/** For a code that is being chosen; rules may grow, so a code that is being *used* is never held against them. Throws CODE_REJECTED. */
export function checkNewCode(code: string): void {
  checkCode(code);
  const weakness = weaknessOf(normaliseCode(code));
  if (weakness) throw rejected(weakness);
}

const rejected = (why: string) => new VaultError('CODE_REJECTED', `The code is rejected: ${why}.`);
