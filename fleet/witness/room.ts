import { toHex } from '../../primitives/bytes.ts';
import type { Statement } from '../../protocol/statement.ts';
import { refuse } from '../verify/checks.ts';
import { verifyDeployment } from '../verify/deployment.ts';
import type { EvidenceFiles } from '../verify/files.ts';

/**
 * What a witness knows from the room, and not from the evidence: whoever invents a ceremony invents a plan for it, with participants
 * whose keys are all the operator's, and nothing in the files shows that.
 */
export interface Room {
  /** Hash of the statement as it was read aloud, in hexadecimal. */
  readonly statement: string;
  /** Is a rehearsal what was watched, and is it to be signed? */
  readonly rehearsal: boolean;
}

/** The evidence holds, and is that of the ceremony in the room. Throws FLEET_UNTRUSTED with the check that fails in its details. */
export function verifyFromRoom(files: EvidenceFiles, statement: Statement, room: Room): void {
  const hash = toHex(statement.hash);
  if (hash !== room.statement)
    throw refuse(
      'statement-not-pinned',
      `The evidence has statement ${hash}, and ${room.statement} was read aloud. If that is what you wrote down, this is the evidence of another ceremony: ask the operator for the right one, and sign nothing else.`,
    );
  const { plan } = verifyDeployment(files);
  if (plan?.purpose === 'rehearsal' && !room.rehearsal)
    throw refuse(
      'plan-mismatch',
      'The plan says that this is a rehearsal, and clients take its statement for a real one. Nothing was signed. In a log that is for rehearsals, say --rehearsal.',
    );
}
