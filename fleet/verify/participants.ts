import { z } from 'zod';
import { toHex } from '../../primitives/bytes.ts';
import type { Statement } from '../../protocol/statement.ts';
import { verifyEcdsa } from './certificate.ts';
import { refuse } from './checks.ts';
import { type EvidenceFiles, parseCanonical } from './files.ts';
import type { CeremonyPlan, PlannedParticipant } from './plan.ts';
import { parsePublicKey } from './public-key.ts';

export const PARTICIPANT_TYPE = 'backup-key-vault/participant/v1';

const hash = z.string().regex(/^[0-9a-f]{64}$/);

const schema = z.strictObject({
  type: z.literal(PARTICIPANT_TYPE),
  name: z.string(),
  role: z.string(),
  /** SHA-256 of the statement. */
  statement: hash,
  /** Head of the transcript. */
  transcript: hash,
  verdict: z.enum(['agree', 'disagree']),
  /** What went otherwise than planned, in the participant's words. */
  exceptions: z.array(z.string().min(1)),
  at: z.iso.datetime(),
});

export type ParticipantStatement = z.infer<typeof schema>;

export interface SignedParticipant extends ParticipantStatement {
  /** SHA-256 of the key, in hexadecimal. */
  readonly fingerprint: string;
}

export const participantFile = (name: string): string => `participants/${name}.json`;
export const participantSignature = (name: string): string => `participants/${name}.sig`;

/** Everyone whom the plan names signed this statement and this transcript. Throws participant-missing, participant-signature. */
export function verifyParticipants(files: EvidenceFiles, plan: CeremonyPlan, statement: Statement, head: string): SignedParticipant[] {
  const planned = new Set(plan.participants.flatMap(({ name }) => [participantFile(name), participantSignature(name)]));
  const stray = [...files.keys()].find((file) => file.startsWith('participants/') && !planned.has(file));
  if (stray) throw refuse('participant-signature', `The file ${stray} is of nobody whom the plan names.`);
  return plan.participants.map((participant) => verifyParticipant(files, participant, toHex(statement.hash), head));
}

function verifyParticipant(files: EvidenceFiles, planned: PlannedParticipant, statement: string, head: string): SignedParticipant {
  const { name, role } = planned;
  const file = files.get(participantFile(name));
  const signature = files.get(participantSignature(name));
  if (!file || !signature) throw refuse('participant-missing', `The ${role} ${name} did not sign.`);
  const { point, fingerprint } = parsePublicKey(planned.public_key);
  if (!verifyEcdsa(signature, file, point))
    throw refuse('participant-signature', `The signature of ${name} is not of the key in the plan.`);
  const signed = parseCanonical(file, schema, 'participant-signature', `What ${name} signed`);
  if (signed.name !== name || signed.role !== role) throw refuse('participant-signature', `What ${name} signed names somebody else.`);
  if (signed.statement !== statement) throw refuse('participant-signature', `${name} signed another statement.`);
  if (signed.transcript !== head) throw refuse('participant-signature', `${name} signed another transcript.`);
  return { ...signed, fingerprint };
}

/** Throws participant-disagrees. */
export function expectAgreement(signed: readonly SignedParticipant[]): void {
  const against = signed.find(({ verdict }) => verdict === 'disagree');
  if (!against) return;
  const why = against.exceptions.length > 0 ? `: ${against.exceptions.join('; ')}` : ', and does not say why';
  throw refuse('participant-disagrees', `${against.name} does not agree${why}.`);
}
