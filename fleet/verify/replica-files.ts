import { z } from 'zod';
import { keyRules, mayBeMissing } from '../../protocol/key-rules.ts';
import { type StatementDocument, statementSchema } from '../../protocol/statement.ts';
import { refuse } from './checks.ts';
import { type EvidenceFiles, encodeCanonical, hexHash, need, parseCanonical } from './files.ts';
import { only, type Transcript } from './transcript.ts';

type StatedReplica = StatementDocument['replicas'][number];

const stated = statementSchema.shape.replicas.element.shape;

/** `attributes/<replica>.json`: the keys as the token describes them. */
const attributesSchema = z.strictObject({
  index: stated.index,
  name: stated.name,
  session_key: stated.session_key,
  session_suite: stated.session_suite,
  receipt_key: stated.receipt_key,
  keys: stated.key_attributes,
});

/** `tokens/<replica>.json`: the token as it describes itself. */
const tokenSchema = z.strictObject({ ...stated.token.shape, mechanisms: z.array(z.string().regex(/^0x[0-9a-f]+$/)) });

export type ReplicaAttributes = z.infer<typeof attributesSchema>;
export type TokenDescription = z.infer<typeof tokenSchema>;

export const attributesFile = (name: string): string => `attributes/${name}.json`;
export const tokenFile = (name: string): string => `tokens/${name}.json`;
export const attestationFolder = (name: string): string => `attestation/${name}/`;

/** The keys that the token reported are those of the statement. Throws token-key-differs, evidence-mismatch. */
export function verifyKeys(files: EvidenceFiles, replica: StatedReplica): ReplicaAttributes {
  const read = readAttributes(files, replica.name);
  for (const key of ['session_key', 'receipt_key'] as const)
    if (read[key] !== replica[key])
      throw refuse('token-key-differs', `The token of ${replica.name} holds another ${key.replace('_', ' ')} than the statement says.`);
  const { index, name, session_suite, key_attributes } = replica;
  if (read.index !== index || read.name !== name || read.session_suite !== session_suite || !same(read.keys, key_attributes))
    throw refuse('evidence-mismatch', `The attributes of the keys of ${name} are not those in the statement.`);
  return read;
}

/** The token is the one in the statement. Throws evidence-mismatch. */
export function verifyToken(files: EvidenceFiles, replica: StatedReplica): TokenDescription {
  const token = parseCanonical(need(files, tokenFile(replica.name)), tokenSchema, 'evidence-mismatch', `The token of ${replica.name}`);
  const { mechanisms: _listed, ...identity } = token;
  if (!same(identity, replica.token)) throw refuse('evidence-mismatch', `The token of ${replica.name} is not the one in the statement.`);
  return token;
}

/** No key can leave or do what it must not. Throws attributes-unsafe. */
export function verifyAttributes({ name: replica, keys }: ReplicaAttributes): void {
  for (const [key, rules] of Object.entries(keyRules)) {
    const attributes = keys[key];
    if (!attributes) throw refuse('attributes-unsafe', `The attributes of the ${key} key of ${replica} are missing.`);
    for (const [flag, wanted] of Object.entries(rules)) {
      const value = attributes[flag];
      if (value === wanted || (value === undefined && !wanted && mayBeMissing(flag))) continue;
      throw refuse('attributes-unsafe', `The ${key} key of ${replica} has ${flag} ${String(value ?? 'unknown')}, and must have ${wanted}.`);
    }
  }
  const stranger = Object.keys(keys).find((key) => !Object.hasOwn(keyRules, key));
  if (stranger) throw refuse('attributes-unsafe', `${replica} has a key ${stranger} that nobody knows.`);
}

/** The transcript tells of exactly these files. Throws evidence-mismatch. */
export function verifyTold(files: EvidenceFiles, name: string, transcript: Transcript): void {
  for (const [event, file] of [
    ['token-read', tokenFile(name)],
    ['attributes-read', attributesFile(name)],
  ] as const)
    if (only(transcript, event, name).sha256 !== hexHash(need(files, file)))
      throw refuse('evidence-mismatch', `The file ${file} is not the one that the transcript tells of.`);
  const kept = [...files.keys()].filter((file) => file.startsWith(attestationFolder(name)));
  const told = only(transcript, 'attestation', name).files;
  const expected = Object.fromEntries(kept.map((file) => [file, hexHash(need(files, file))]));
  if (!same(told, expected)) throw refuse('evidence-mismatch', `The attestation of ${name} is not the one that the transcript tells of.`);
}

const readAttributes = (files: EvidenceFiles, name: string): ReplicaAttributes =>
  parseCanonical(need(files, attributesFile(name)), attributesSchema, 'evidence-mismatch', `The list of keys of ${name}`);

const same = (a: unknown, b: unknown): boolean => String(encodeCanonical(a)) === String(encodeCanonical(b));
