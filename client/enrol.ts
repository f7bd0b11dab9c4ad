import { exactly } from '../primitives/bytes.ts';
import type { SecretBytes } from '../primitives/secret-bytes.ts';
import { BACKUP_KEY_LENGTH } from '../protocol/body.ts';
import { parseRecordId } from '../protocol/record-id.ts';
import { beginEnrolment } from './begin-enrolment.ts';
import { checkNewCode } from './code-check.ts';
import { codeInput } from './derive.ts';
import { describeIfKnown } from './describe.ts';
import { toBeMoved } from './draining.ts';
import type { Enrolment } from './enrolment.ts';
import type { RecordPolicy } from './generation.ts';
import { type Progress, ridOf, type Vault } from './vault.ts';

export interface EnrolInput {
  readonly recordId: string;
  readonly code: string;
  /** 32 bytes, uniform (`makeBackupKey`): the owner key is made of it, and whoever guesses it may replace the record. */
  readonly backupKey: SecretBytes;
  /** The backup key that is there now, where another one is to take its place. */
  readonly replaces?: SecretBytes;
  readonly policy: RecordPolicy;
  /** Replace a record although fewer replicas than hold it now would hold it afterwards. */
  readonly allowFewerHolders?: boolean;
  /** How many replicas must offer to hold the record, else NOT_ENOUGH_REPLICAS and nothing is stored: from t, the default, to n. */
  readonly holdersLeast?: number;
  /**
   * Gives the app what `rehearse` takes. Off by default: beside the backup key, it tells who has the device 10 bits of the code, which
   * its user may use elsewhere.
   */
  readonly rehearsal?: boolean;
  readonly progress?: Progress;
}

/** Everything up to the point where something is stored. */
export async function prepareEnrolment(vault: Vault, enrol: EnrolInput): Promise<Enrolment> {
  const { code, backupKey, policy, replaces = enrol.backupKey, allowFewerHolders = false, holdersLeast, rehearsal = false } = enrol;
  const { progress = () => {} } = enrol;
  const recordId = parseRecordId(enrol.recordId);
  checkNewCode(code);
  for (const key of [backupKey, replaces]) exactly(BACKUP_KEY_LENGTH, key.expose(), 'the backup key');
  progress('describing');
  const current = await describeIfKnown(vault, recordId);
  const moved = current && current.state !== 'erased' ? undefined : await toBeMoved(vault, recordId, replaces);
  const input = codeInput(code, vault.fleet.name, ridOf(vault, recordId));
  try {
    return await beginEnrolment(
      vault,
      { recordId, input, backupKey, replaces, policy, current, moved, allowFewerHolders, holdersLeast, rehearsal },
      progress,
    );
  } finally {
    input.wipe();
  }
}
