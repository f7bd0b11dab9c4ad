import { join } from 'node:path';
import type { Millis } from '../../primitives/brand.ts';
import { constantTimeEqual, toHex } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import { toDer } from '../produce/cms.ts';
import { PUBLIC, writeNew } from '../produce/files.ts';
import type { Signer } from '../signing-token/signer.ts';
import { Checklist } from '../verify/checks.ts';
import { checkDeployment } from '../verify/deployment.ts';
import { encodeCanonical } from '../verify/files.ts';
import { PARTICIPANT_TYPE, type ParticipantStatement, participantFile, participantSignature } from '../verify/participants.ts';
import { parsePublicKey } from '../verify/public-key.ts';
import { readEvidence } from './read-evidence.ts';

export interface Participation {
  /** The evidence. */
  readonly directory: string;
  /** As the plan names the participant. */
  readonly name: string;
  readonly signer: Signer;
  readonly verdict: 'agree' | 'disagree';
  readonly exceptions: readonly string[];
  readonly now: Millis;
}

/**
 * Signs statement and transcript as one participant. Whoever agrees has looked: the evidence is verified first, as far as it goes without
 * the signatures to come. Whoever disagrees may do so whatever the evidence is like. Throws FLEET_UNTRUSTED, CONFIG_INVALID.
 */
export function participate({ directory, name, signer, verdict, exceptions, now }: Participation): ParticipantStatement {
  const list = new Checklist();
  const { statement, plan, transcript } = checkDeployment(list, readEvidence(directory));
  const failed = list.checks.find(({ code, name: check }) => code !== null && check !== 'participants' && check !== 'agreement');
  if (failed && verdict === 'agree')
    throw new VaultError('FLEET_UNTRUSTED', `Nobody should agree to this: ${failed.detail}`, { details: { check: failed.code as string } });
  const participant = plan?.participants.find((one) => one.name === name);
  if (!statement || !transcript || !participant)
    throw new VaultError('CONFIG_INVALID', participant ? 'The evidence is too broken to sign.' : `The plan names no participant ${name}.`);
  if (!constantTimeEqual(parsePublicKey(participant.public_key).point, signer.publicKey))
    throw new VaultError('CONFIG_INVALID', `This is not the key that the plan has for ${name}.`);
  const { role } = participant;
  const hashes = { statement: toHex(statement.hash), transcript: transcript.head };
  const at = new Date(now).toISOString();
  const signed: ParticipantStatement = { type: PARTICIPANT_TYPE, name, role, ...hashes, verdict, exceptions: [...exceptions], at };
  const bytes = encodeCanonical(signed);
  const signature = toDer(signer.sign(bytes));
  writeNew(join(directory, participantFile(name)), bytes, PUBLIC);
  writeNew(join(directory, participantSignature(name)), signature, PUBLIC);
  return signed;
}
