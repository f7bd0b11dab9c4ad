import { randomBytes } from '@noble/hashes/utils.js';
import type { VaultTransport } from '../../client/transport.ts';
import { VaultClient } from '../../client/vault-client.ts';
import { toHex } from '../../primitives/bytes.ts';
import { SecretBytes } from '../../primitives/secret-bytes.ts';
import type { RecordState } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { encodeStatement, parseStatement, type Statement } from '../../protocol/statement.ts';
import { DevFleet } from './dev-fleet.ts';
import { publishBundle, putStatement, untilPasses } from './notarised-fleet.ts';
import { quickHash } from './soft-client.ts';
import { SoftMemory, SoftNotary } from './soft-notary.ts';

export const CODE = 'a code for two fleets';
export const WRONG = 'another code altogether';

interface Opening {
  /** Its way to the new fleet. */
  readonly transport?: VaultTransport;
  readonly knows?: 'both' | 'old';
}

/** Two live fleets, each with tokens and an etcd of its own: the new one, at epoch 2, replaces the old one, at epoch 1. */
export class Overlap {
  readonly old: DevFleet;
  readonly fresh: DevFleet;
  readonly notary: SoftNotary;
  readonly memory = new SoftMemory();
  readonly #second: Statement;
  readonly #keys = new Map<string, SecretBytes>();

  private constructor(old: DevFleet, fresh: DevFleet, notary: SoftNotary, second: Statement) {
    this.old = old;
    this.fresh = fresh;
    this.notary = notary;
    this.#second = second;
  }

  /** The new one is published, and not in force yet. */
  static async start(): Promise<Overlap> {
    const settings = { bundle_interval_ms: 200 };
    const old = await DevFleet.start({ etcdMembers: 1, settings });
    const fresh = await DevFleet.start({ etcdMembers: 1, settings });
    const notary = await SoftNotary.create(Date.now());
    const second = await succeed(old.statement, fresh);
    notary.append(old.statement.bytes, second.bytes);
    const overlap = new Overlap(old, fresh, notary, second);
    overlap.#publish();
    return overlap;
  }

  enforce(): void {
    this.notary.enforce(this.#second, Date.now(), Date.now());
    this.#publish();
  }

  /** The old fleet's first: whoever saw the new fleet's checkpoint takes no smaller one. */
  #publish(): void {
    publishBundle(this.old, this.notary, this.old.statement.bytes);
    publishBundle(this.fresh, this.notary, this.#second.bytes);
  }

  device({ transport = this.fresh.open().transport, knows = 'both' }: Opening = {}): VaultClient {
    const { fleet, tenant } = this.old.client;
    const common = { fleet, tenant, argon2id: quickHash };
    const oldTransport = this.old.open().transport;
    if (knows === 'old') return new VaultClient({ ...common, transport: oldTransport, policy: this.notary.policy() });
    const policy = this.notary.policy({ epochLeast: 2, memory: this.memory });
    return new VaultClient({ ...common, transport, policy, draining: { transport: oldTransport, epochLeast: 1 } });
  }

  async enrolAtOld(recordId: string, limit = 5): Promise<void> {
    const backupKey = new SecretBytes(randomBytes(32));
    this.#keys.set(recordId, backupKey);
    const record = { recordId, code: CODE, backupKey, policy: { limit, coolDownMs: 0 } };
    await untilPasses(() => this.device({ knows: 'old' }).enroll(record));
  }

  /** Of what was enrolled at the old fleet. */
  keyOf(recordId: string): SecretBytes {
    return this.#keys.get(recordId) as SecretBytes;
  }

  async stop(): Promise<void> {
    await this.fresh.stop();
    await this.old.stop();
  }
}

export const stateAt = async (fleet: DevFleet, recordId: string): Promise<RecordState | undefined> =>
  (await fleet.store.attempts(fleet.rid(recordId)))?.state;

/** The successor's tokens under the successor's epoch. */
async function succeed(from: Statement, fleet: DevFleet): Promise<Statement> {
  const next = { ...fleet.statement.document, epoch: from.epoch + 1, previous: toHex(from.hash) };
  const statement = parseStatement(encodeStatement(next));
  await Promise.all(fleet.replicas.map(({ process }) => process.stop()));
  putStatement(fleet, statement);
  await Promise.all(fleet.replicas.map(({ process }) => process.start()));
  return statement;
}
