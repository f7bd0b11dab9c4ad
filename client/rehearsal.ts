import { constantTimeEqual, exactly } from '../primitives/bytes.ts';
import type { SecretBytes } from '../primitives/secret-bytes.ts';
import { parseRecordId } from '../protocol/record-id.ts';
import { checkCode } from './code-check.ts';
import { codeInput, rehearsalTag } from './derive.ts';
import { ridOf, type Vault } from './vault.ts';

export interface RehearsalInput {
  readonly recordId: string;
  readonly code: string;
  readonly backupKey: SecretBytes;
  /** Of the EnrolmentResult. */
  readonly rehearsal: Uint8Array;
}

/**
 * For the device that holds the backup key, so that its user does not forget the code. Asks nobody. A wrong code passes once in 1024.
 * Throws CODE_REJECTED, MALFORMED.
 */
export function rehearse(vault: Vault, { recordId, code, backupKey, rehearsal }: RehearsalInput): boolean {
  checkCode(code);
  const rid = ridOf(vault, parseRecordId(recordId));
  const input = codeInput(code, vault.fleet.name, rid);
  const isRight = constantTimeEqual(rehearsalTag(backupKey, input, rid), exactly(2, rehearsal, 'rehearsal'));
  input.wipe();
  return isRight;
}
