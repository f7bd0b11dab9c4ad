import { constantTimeEqual } from '../primitives/bytes.ts';
import type { SecretBytes } from '../primitives/secret-bytes.ts';
import { parseRecordId } from '../protocol/record-id.ts';
import { checkCode } from './code-check.ts';
import { rehearsalTag } from './derive.ts';
import { stretch } from './stretch.ts';
import { type Progress, ridOf, type Vault } from './vault.ts';

export interface RehearsalInput {
  readonly recordId: string;
  readonly code: string;
  readonly backupKey: SecretBytes;
  /** Of the EnrolmentResult. */
  readonly rehearsal: Uint8Array;
  readonly progress?: Progress;
}

/** For the device that holds the backup key, so that its user does not forget the code. Asks nobody. Throws CODE_REJECTED. */
export async function rehearse(vault: Vault, { recordId, code, backupKey, rehearsal, progress }: RehearsalInput): Promise<boolean> {
  checkCode(code);
  const rid = ridOf(vault, parseRecordId(recordId));
  progress?.('stretching');
  const input = await stretch(code, vault.fleet.name, rid, vault.argon2id);
  const isRight = constantTimeEqual(rehearsalTag(backupKey, input, rid), rehearsal);
  input.wipe();
  return isRight;
}
