import { z } from 'zod';
import { keyRules, mayBeMissing } from '../../protocol/key-rules.ts';
import { parseStatement, type StatementDocument, statementSchema } from '../../protocol/statement.ts';
import { refuse } from './checks.ts';
import { type EvidenceFiles, hexHash, need, parseCanonical, sameCanonical } from './files.ts';
import type { PlannedReplica } from './plan.ts';
import { only, type Transcript } from './transcript.ts';

type StatedReplica = StatementDocument['replicas'][number];

const stated = statementSchema.shape.replicas.element.shape;

/** `attributes/<replica>.json`: the keys as the token describes them. */
const attributesSchema = z.strictObject({
  index: stated.index,
  name: stated.name,
  oprf_key: stated.oprf_key,
  release_key: stated.release_key,
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

/** The public halves of a replica's pairs, by their names in statement and evidence. */
const PUBLIC_KEYS = ['oprf_key', 'release_key', 'receipt_key'] as const;

type PublicKeys = Pick<StatedReplica, (typeof PUBLIC_KEYS)[number]>;

export const publicKeysOf = ({ oprf_key, release_key, receipt_key }: PublicKeys): PublicKeys => ({ oprf_key, release_key, receipt_key });

/** The keys that the token reported are those of the statement. Throws token-key-differs, evidence-mismatch. */
export function verifyKeys(files: EvidenceFiles, replica: StatedReplica): ReplicaAttributes {
  const read = readAttributes(files, replica.name);
  for (const key of PUBLIC_KEYS)
    if (read[key] !== replica[key])
      throw refuse('token-key-differs', `The token of ${replica.name} holds another ${key.replace('_', ' ')} than the statement says.`);
  const { index, name, key_attributes } = replica;
  if (read.index !== index || read.name !== name || !sameCanonical(read.keys, key_attributes))
    throw refuse('evidence-mismatch', `The attributes of the keys of ${name} are not those in the statement.`);
  return read;
}

/** The token is the one in the statement. Throws evidence-mismatch. */
export function verifyToken(files: EvidenceFiles, replica: StatedReplica): TokenDescription {
  const token = readToken(files, replica.name);
  const { mechanisms: _listed, ...identity } = token;
  if (!sameCanonical(identity, replica.token))
    throw refuse('evidence-mismatch', `The token of ${replica.name} is not the one in the statement.`);
  return token;
}

/** No key can leave or do what it must not, and there are no others. Throws attributes-unsafe. */
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

/** What the transcript calls it that keys were made or read as planned. */
export const keyEvents = { make: 'keys-made', keep: 'keys-kept', rotate: 'keys-rotated' } as const satisfies Record<
  PlannedReplica['keys'],
  string
>;

/** The transcript tells of exactly these files, and what is in them; returns in how many lines. Throws evidence-mismatch. */
export function verifyTold(files: EvidenceFiles, { name, keys }: PlannedReplica, transcript: Transcript): number {
  for (const [event, file] of [
    ['token-read', tokenFile(name)],
    ['attributes-read', attributesFile(name)],
  ] as const)
    if (only(transcript, event, name).sha256 !== hexHash(need(files, file)))
      throw refuse('evidence-mismatch', `The file ${file} is not the one that the transcript tells of.`);
  const { mechanisms: _listed, ...token } = readToken(files, name);
  const { sha256: _compared, ...read } = only(transcript, 'token-read', name);
  if (!sameCanonical(read, { replica: name, ...token }))
    throw refuse('evidence-mismatch', `The transcript tells of another token of ${name} than the file ${tokenFile(name)}.`);
  const publicKeys = publicKeysOf(readAttributes(files, name));
  if (!sameCanonical(only(transcript, keyEvents[keys], name), { replica: name, ...publicKeys }))
    throw refuse('evidence-mismatch', `The transcript tells of other keys of ${name} than the file ${attributesFile(name)}.`);
  if (keys === 'rotate') expectRotated(files, name, publicKeys);
  const kept = [...files.keys()].filter((file) => file.startsWith(attestationFolder(name)));
  const told = only(transcript, 'attestation', name).files;
  const expected = Object.fromEntries(kept.map((file) => [file, hexHash(need(files, file))]));
  if (!sameCanonical(told, expected))
    throw refuse('evidence-mismatch', `The attestation of ${name} is not the one that the transcript tells of.`);
  return LINES_OF_REPLICA;
}

/** A rotation makes new keys to evaluate and to release with, and leaves the one that signs receipts. Throws evidence-mismatch. */
function expectRotated(files: EvidenceFiles, name: string, now: PublicKeys): void {
  const { replicas } = parseStatement(need(files, 'previous.json')).document;
  const before = replicas.find((replica) => replica.name === name);
  const old = before && [before.oprf_key, before.release_key].map(xOfKey);
  if (before?.receipt_key !== now.receipt_key || [now.oprf_key, now.release_key].some((key) => old?.includes(xOfKey(key))))
    throw refuse('evidence-mismatch', `The keys of ${name} are not those of the previous statement, rotated.`);
}

/** Of a compressed point in hexadecimal. The key of the other sign is no other key. */
const xOfKey = (key: string): string => key.slice(2);

/** Token, keys, attributes, attestation. */
const LINES_OF_REPLICA = 4;

const readToken = (files: EvidenceFiles, name: string): TokenDescription =>
  parseCanonical(need(files, tokenFile(name)), tokenSchema, 'evidence-mismatch', `The token of ${name}`);

const readAttributes = (files: EvidenceFiles, name: string): ReplicaAttributes =>
  parseCanonical(need(files, attributesFile(name)), attributesSchema, 'evidence-mismatch', `The list of keys of ${name}`);
