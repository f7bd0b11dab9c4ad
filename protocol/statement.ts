import { p256 } from '@noble/curves/nist.js';
import { sha256 } from '@noble/hashes/sha2.js';
import canonicalize from 'canonicalize';
import { z } from 'zod';
import { type Bytes, constantTimeEqual, fromHex, utf8 } from '../primitives/bytes.ts';
import { VaultError } from '../primitives/errors.ts';
import { MAX_REPLICAS } from './body.ts';
import { type CompressedPoint, parsePoint } from './point.ts';
import { earlierEpochs, index, point, readTerms, type Terms } from './terms.ts';

export const STATEMENT_TYPE = 'backup-key-vault/fleet-statement/v1';

const hash = z.string().regex(/^[0-9a-f]{64}$/);
const name = z.string().regex(/^[a-z0-9][a-z0-9.-]{0,62}$/);

const replicaSchema = z.strictObject({
  index,
  name,
  /** Who runs it. Replicas of one operator fall together. */
  operator: name,
  oprf_key: point,
  release_key: point,
  receipt_key: point,
  /** Counts the times the replica's guard was lost or rebuilt. */
  guard_incarnation: z.int().min(1),
  token: z.strictObject({ manufacturer: z.string(), model: z.string(), serial: z.string(), firmware: z.string() }),
  /** Attributes of each key as read back from the token. */
  key_attributes: z.record(z.string(), z.record(z.string(), z.union([z.string(), z.number(), z.boolean()]))),
});

export const statementSchema = z.strictObject({
  type: z.literal(STATEMENT_TYPE),
  fleet: name,
  epoch: z.int().min(1),
  /** SHA-256 of the previous epoch's statement; null for the first. */
  previous: hash.nullable(),
  threshold: z.int().min(2),
  /** In order of index. An index is never given to another replica, so there may be gaps. */
  replicas: z.array(replicaSchema).min(3).max(MAX_REPLICAS),
  /** Earlier epochs whose records are still served, in order. */
  earlier: earlierEpochs,
  /** Counts the times etcd was restored. */
  store_incarnation: z.int().min(1),
  not_before: z.iso.datetime(),
  not_after: z.iso.datetime(),
  software: z.strictObject({ version: z.string(), digest: z.string() }),
  /** SHA-256 of the deployment's evidence; null where none was published. */
  evidence: hash.nullable(),
});

export type StatementDocument = z.infer<typeof statementSchema>;

export interface Replica {
  readonly index: number;
  readonly name: string;
  readonly operator: string;
  /** K */
  readonly oprfKey: CompressedPoint;
  /** R */
  readonly releaseKey: CompressedPoint;
  /** V */
  readonly receiptKey: CompressedPoint;
  /** Counts the times that its guard began anew. */
  readonly guardIncarnation: number;
}

/** A statement in canonical form whose rules hold. Whether it is to be *trusted* is another question: client/trust-policy.ts. */
export interface Statement {
  readonly bytes: Bytes;
  /** SHA-256 of `bytes`: what sha256sum prints for the file. */
  readonly hash: Bytes;
  readonly document: StatementDocument;
  readonly fleet: string;
  readonly epoch: number;
  readonly threshold: number;
  readonly replicas: readonly Replica[];
  /** What holds for records of each epoch that is served, this one included: `termsOf`. */
  readonly terms: ReadonlyMap<number, Terms>;
}

/** Throws FLEET_UNTRUSTED, naming the rule that fails. */
export function parseStatement(bytes: Uint8Array): Statement {
  const document = parseDocument(bytes);
  const { replicas, threshold } = document;
  const terms = readTerms(document);
  if ('why' in terms) throw untrusted(terms.why, terms.check);
  for (const [what, check, values] of [
    ['two replicas have the same name', 'duplicate-name', replicas.map((r) => r.name)],
    // By x: the keys of K and −K are as good as one.
    [
      'two keys are the same, or differ in their sign alone',
      'duplicate-key',
      replicas.flatMap((r) => [r.oprf_key, r.release_key, r.receipt_key].map((key) => key.slice(2))),
    ],
    ['two replicas have the same token serial', 'duplicate-serial', replicas.map((r) => r.token.serial)],
  ] as const)
    if (new Set(values).size !== values.length) throw untrusted(what, check);
  return {
    bytes: bytes as Bytes,
    hash: sha256(bytes) as Bytes,
    document,
    fleet: document.fleet,
    epoch: document.epoch,
    threshold,
    replicas: replicas.map((r) => ({
      index: r.index,
      name: r.name,
      operator: r.operator,
      oprfKey: parseKey(r.oprf_key),
      releaseKey: parseKey(r.release_key),
      receiptKey: parseKey(r.receipt_key),
      guardIncarnation: r.guard_incarnation,
    })),
    terms,
  };
}

/** Strict by re-encoding: only the canonical form (RFC 8785) of a document that the schema knows is accepted. */
function parseDocument(bytes: Uint8Array): StatementDocument {
  try {
    const document = statementSchema.parse(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)));
    if (constantTimeEqual(encodeStatement(document), bytes)) return document;
  } catch (cause) {
    throw new VaultError('FLEET_UNTRUSTED', 'The fleet statement is not a statement of this version.', {
      cause,
      details: { check: MALFORMED },
    });
  }
  throw untrusted('it is not in canonical form (RFC 8785)');
}

export function encodeStatement(document: StatementDocument): Bytes {
  return utf8(canonicalize(document) as string);
}

function parseKey(hex: string): CompressedPoint {
  const key = parsePoint(fromHex(hex, 'key'), 'key');
  try {
    p256.Point.fromBytes(key);
  } catch {
    throw untrusted('a key is not a point of P-256');
  }
  return key;
}

/** Of how many different operators any t replicas are at least that serve what one epoch enrolled: of the epoch with the fewest. */
export const operatorsOf = ({ replicas, terms }: Statement): number =>
  Math.min(
    ...[...terms.values()].map(({ remaining, threshold }) =>
      operatorsAmong(
        replicas.filter((one) => remaining.has(one.index)),
        threshold,
      ),
    ),
  );

/** Those who run the most are counted first. */
function operatorsAmong(replicas: readonly Replica[], threshold: number): number {
  const counts = new Map<string, number>();
  for (const { operator } of replicas) counts.set(operator, (counts.get(operator) ?? 0) + 1);
  const most = [...counts.values()].sort((a, b) => b - a);
  let operators = 0;
  for (let chosen = 0; chosen < threshold; operators++) chosen += most[operators] as number;
  return operators;
}

/** The replica with this index. Throws REPLY_UNTRUSTED. */
export function replicaOf(statement: Statement, index: number): Replica {
  const replica = statement.replicas.find((one) => one.index === index);
  if (!replica) throw new VaultError('REPLY_UNTRUSTED', `There is no replica ${index} in the fleet statement.`);
  return replica;
}

const MALFORMED = 'statement-malformed';

/** `check` is a code of fleet/verify/check-codes.ts. */
const untrusted = (why: string, check = MALFORMED) =>
  new VaultError('FLEET_UNTRUSTED', `The fleet statement is refused: ${why}.`, { details: { check } });
