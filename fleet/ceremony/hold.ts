import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { toHex } from '../../primitives/bytes.ts';
import type { Clock } from '../../primitives/clock.ts';
import { encodeStatement, parseStatement, STATEMENT_TYPE, type Statement } from '../../protocol/statement.ts';
import { earlierAfter } from '../../protocol/terms.ts';
import { PUBLIC, writeNew } from '../produce/files.ts';
import type { TokenReading } from '../produce/token-reading.ts';
import { encodeCanonical, hexHash } from '../verify/files.ts';
import { indicesOf, operatorOf, type PlannedReplica } from '../verify/plan.ts';
import { parsePublicKey } from '../verify/public-key.ts';
import { attestationFolder, attributesFile, keyEvents, publicKeysOf, tokenFile, verifyAttributes } from '../verify/replica-files.ts';
import { EvidenceWriter } from './evidence-writer.ts';
import type { LoadedPlan } from './load-plan.ts';

export interface Ceremony {
  readonly loaded: LoadedPlan;
  /** Where the evidence goes; must not exist. */
  readonly directory: string;
  /** Makes, or reads, a replica's keys in its token, and says what the token says of them. */
  readonly readToken: (replica: PlannedReplica, index: number) => Promise<TokenReading>;
  readonly clock: Clock;
  /** Told each step before it begins. */
  readonly progress: (step: string) => void;
}

export interface Held {
  readonly statement: Statement;
  /** Hash of the transcript's last line. */
  readonly transcript: string;
}

/**
 * From plan to statement: keys in tokens, attributes read back, transcript, manifest. What fails is told in the transcript, and keys
 * made until then stay in their tokens: nothing is undone unseen, and the next try is another ceremony in another directory.
 */
export async function holdCeremony(ceremony: Ceremony): Promise<Held> {
  const { loaded, directory, clock, progress } = ceremony;
  const writer = new EvidenceWriter(directory, clock);
  try {
    begin(writer, loaded);
    const readings: TokenReading[] = [];
    const indices = indicesOf(loaded.plan);
    for (const [i, replica] of loaded.plan.replicas.entries()) {
      const index = indices[i] as number;
      progress(`${replica.name}: ${replica.keys === 'keep' ? 'reading' : 'making'} keys in its token`);
      const reading = await ceremony.readToken(replica, index);
      readings.push(reading);
      writeReplica(writer, loaded, replica, index, reading);
    }
    progress('writing the statement');
    describe(loaded, readings, NOT_YET); // while what no client would accept can still be told
    writer.tell('deployment-described', { replicas: readings.length, threshold: loaded.plan.threshold });
    const statement = describe(loaded, readings, writer.seal());
    writeNew(join(directory, 'statement.json'), statement.bytes, PUBLIC);
    return { statement, transcript: writer.head };
  } catch (error) {
    tellFailure(writer, error as Error);
    throw error;
  }
}

/** In place of the evidence's hash, which exists once the transcript is closed. */
const NOT_YET = '0'.repeat(64);

function begin(writer: EvidenceWriter, { plan, bytes, previous }: LoadedPlan): void {
  for (const folder of ['attributes', 'tokens', 'attestation', 'participants', 'anchors']) writer.folder(folder);
  const { version, digest, rebuild } = plan.software;
  writer.tell('ceremony-begun', { plan: writer.write('plan.yaml', bytes), fleet: plan.fleet, epoch: plan.epoch, purpose: plan.purpose });
  if (previous) writer.tell('previous-statement', { sha256: writer.write('previous.json', previous.bytes), epoch: previous.epoch });
  writer.tell('participants-named', {
    participants: plan.participants.map(({ name, role, public_key }) => ({ name, role, key: parsePublicKey(public_key).fingerprint })),
  });
  writer.tell('software-named', { sha256: writer.write('software.json', encodeCanonical({ version, digest, rebuild })), version, digest });
}

function writeReplica(writer: EvidenceWriter, loaded: LoadedPlan, replica: PlannedReplica, index: number, reading: TokenReading): void {
  const { name } = replica;
  const { token, mechanisms, key_attributes } = reading;
  const publicKeys = publicKeysOf(reading);
  writer.tell('token-read', { replica: name, sha256: writer.write(tokenFile(name), encodeCanonical({ ...token, mechanisms })), ...token });
  writer.tell(keyEvents[replica.keys], { replica: name, ...publicKeys });
  const attributes = { index, name, ...publicKeys, keys: key_attributes };
  writer.tell('attributes-read', { replica: name, sha256: writer.write(attributesFile(name), encodeCanonical(attributes)) });
  verifyAttributes(attributes); // as everyone will: better now than when the room is empty
  if (replica.attestation.length > 0) writer.folder(attestationFolder(name));
  const files = replica.attestation.map((path) => {
    const file = `${attestationFolder(name)}${basename(path)}`;
    return [file, writer.write(file, readFileSync(loaded.path(path)))] as const;
  });
  const note = files.length > 0 ? {} : { none: 'The token’s vendor gives no attestation, or none was made.' };
  writer.tell('attestation', { replica: name, files: Object.fromEntries(files), ...note });
}

function describe({ plan, previous }: LoadedPlan, readings: readonly TokenReading[], evidence: string): Statement {
  const { fleet, epoch, threshold, store_incarnation, not_before, not_after, software } = plan;
  const indices = indicesOf(plan);
  const bytes = encodeStatement({
    ...{ type: STATEMENT_TYPE, fleet, epoch, previous: previous ? toHex(previous.hash) : null, threshold },
    replicas: plan.replicas.map((replica, i) => {
      const { name, guard_incarnation } = replica;
      const { mechanisms: _inTokensFile, ...stated } = readings[i] as TokenReading;
      return { index: indices[i] as number, name, operator: operatorOf(plan, replica), guard_incarnation, ...stated };
    }),
    earlier: previous ? earlierAfter(previous.document, plan.epochs_ended) : [],
    ...{ store_incarnation, not_before, not_after, evidence },
    software: { version: software.version, digest: software.digest },
  });
  return parseStatement(bytes); // as every client will
}

function tellFailure(writer: EvidenceWriter, error: Error): void {
  try {
    writer.tell('ceremony-failed', { why: error.message, error: hexHash(Buffer.from(error.message)) });
  } catch {
    // The disk is full, or the transcript is sealed: the error itself is what counts.
  }
}
