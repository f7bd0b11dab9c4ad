import type { SecretBytes } from '../primitives/secret-bytes.ts';
import { parseRecordId } from '../protocol/record-id.ts';
import { beginEnrolment } from './begin-enrolment.ts';
import { checkNewCode } from './code-check.ts';
import { describeIfKnown } from './describe.ts';
import { toBeMoved } from './draining.ts';
import type { Enrolment } from './enrolment.ts';
import type { RecordPolicy } from './generation.ts';
import { stretch } from './stretch.ts';
import { type Progress, ridOf, type Vault } from './vault.ts';

export interface EnrolInput {
  readonly recordId: string;
  readonly code: string;
  /** 16 to 64 bytes. */
  readonly backupKey: SecretBytes;
  readonly policy: RecordPolicy;
  /** Replace a record although fewer replicas than hold it now would hold it afterwards. */
  readonly allowFewerHolders?: boolean;
  readonly progress?: Progress;
}

/** Everything up to the point where something is stored. */
export async function prepareEnrolment(vault: Vault, enrol: EnrolInput): Promise<Enrolment> {
  const { code, backupKey, policy, allowFewerHolders = false, progress = () => {} } = enrol;
  const recordId = parseRecordId(enrol.recordId);
  checkNewCode(code);
  progress('describing');
  const current = await describeIfKnown(vault, recordId);
  const moved = current ? undefined : await toBeMoved(vault, recordId, backupKey);
  progress('stretching');
  const input = await stretch(code, vault.fleet.name, ridOf(vault, recordId), vault.argon2id);
  try {
    return await beginEnrolment(vault, { recordId, input, backupKey, policy, current, moved, allowFewerHolders }, progress);
  } finally {
    input.wipe();
  }
}
