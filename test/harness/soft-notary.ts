import { create } from '@bufbuild/protobuf';
import type { Remembered, TrustMemory, WitnessedPolicy } from '../../client/trust-policy.ts';
import { formatProof } from '../../fleet/log/proof.ts';
import { leafHash, makeConsistencyProof, makeInclusionProof, type TreeHash } from '../../fleet/log/tree.ts';
import { validityFrom } from '../../fleet/produce/authority.ts';
import { countersign, signSmime } from '../../fleet/produce/cms.ts';
import { signInForce } from '../../fleet/produce/in-force.ts';
import { isInForce, parseInForce } from '../../fleet/verify/in-force.ts';
import { formatNewest, newestOf } from '../../fleet/verify/newest.ts';
import { type Bytes, constantTimeEqual, utf8 } from '../../primitives/bytes.ts';
import { type PublishedBundle, PublishedBundleSchema } from '../../proto/gen/backupvault/v1/record_pb.ts';
import type { Statement } from '../../protocol/statement.ts';
import { makeParty, type Party } from '../trust/parties.ts';
import { type SoftCosigner, type SoftKey, softCheckpoint, softKey, softMlDsaKey, softPolicy } from './test-log.ts';

export const DAY = 24 * 3600 * 1000;

/** Operator, witness, log and two cosigners, one of each kind, with keys in this process: whatever they should sign is signed. */
export class SoftNotary {
  readonly operator: Party;
  readonly witness: Party;
  readonly log: SoftKey = softKey('witness.example/backup-key-vault');
  readonly cosigners: readonly SoftCosigner[] = [softKey('one.example'), softMlDsaKey('two.example')];
  readonly entries: Uint8Array[];

  private constructor(operator: Party, witness: Party, entries: readonly Uint8Array[]) {
    this.operator = operator;
    this.witness = witness;
    this.entries = [...entries];
  }

  static async create(now: number): Promise<SoftNotary> {
    const validity = validityFrom(now);
    return new SoftNotary(await makeParty('operator', validity), await makeParty('witness', validity), []);
  }

  /** The same parties, with a log of its own that begins with these entries. */
  fork(entries: readonly Uint8Array[]): SoftNotary {
    return new SoftNotary(this.operator, this.witness, entries);
  }

  get leaves(): TreeHash[] {
    return this.entries.map(leafHash);
  }

  append(...statements: Uint8Array[]): void {
    this.entries.push(...statements);
  }

  /** The operator puts it in force, and the log holds that. */
  enforce(statement: Statement, refuseOlderFrom: number, now: number): void {
    this.append(utf8(signInForce(statement, refuseOlderFrom, this.operator.signer, now)));
  }

  /** What an operator publishes for a statement that is in the log. */
  publish(statement: Uint8Array, now: number, cosigners: readonly SoftCosigner[] = this.cosigners): PublishedBundle {
    const { leaves } = this;
    const index = this.entries.findIndex((entry) => constantTimeEqual(entry, statement));
    const note = softCheckpoint(this.log, leaves, now, cosigners, newestLinesOf(this.entries));
    return create(PublishedBundleSchema, {
      smime: this.sign(statement, now),
      logProof: formatProof({ index, hashes: makeInclusionProof(index, leaves), note }),
      leafHashes: leaves,
    });
  }

  /** Both signatures, whether it is in the log or not. */
  sign(statement: Uint8Array, now: number): Bytes {
    return utf8(countersign(signSmime(statement, this.witness.signer, now), this.operator.signer, now));
  }

  consistencyFrom(size: number): TreeHash[] {
    return size > 0 && size <= this.entries.length ? makeConsistencyProof(size, this.leaves) : [];
  }

  policy(changes: Partial<WitnessedPolicy> = {}): WitnessedPolicy {
    return {
      kind: 'witnessed',
      operatorCa: this.operator.ca,
      witnessCa: this.witness.ca,
      logPolicy: softPolicy(this.log, this.cosigners, 2),
      epochLeast: 1,
      operatorsLeast: 1,
      checkpointAgeMost: 7 * DAY,
      memory: new SoftMemory(),
      ...changes,
    };
  }
}

/** As a witness computes them, without its judgement. Tests append what they like, and some of it is nothing at all. */
export function newestLinesOf(entries: readonly Uint8Array[]): string[] {
  const header = utf8('MIME-Version');
  const signed = entries.filter((entry) => isInForce(entry) && constantTimeEqual(entry.subarray(0, header.length), header));
  return newestOf(signed.map(parseInForce)).map(formatNewest);
}

/** Remembers for as long as the test runs. */
export class SoftMemory implements TrustMemory {
  remembered: Remembered | undefined;

  async load(): Promise<Remembered | undefined> {
    return this.remembered;
  }

  async save(remembered: Remembered): Promise<void> {
    this.remembered = remembered;
  }
}
