import { readFileSync } from 'node:fs';
import { ConsecutiveBreaker, circuitBreaker, handleWhen, type IPolicy, noop } from 'cockatiel';
import {
  Etcd3,
  GRPCResourceExhastedError,
  type ICompare,
  type IKeyValue,
  type IRequestOp,
  type ITxnResponse,
  isRecoverableError,
  type Lease,
} from 'etcd3';
import type { Millis } from '../../primitives/brand.ts';
import type { Bytes } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import { storeFaults } from '../../protocol/store-fault.ts';
import { faultPoint } from '../fault-point.ts';
import { faultOf, type Member, refusals } from './etcd-fault.ts';

/** A value with the revision of its last write. Revisions have 64 bits and stay decimal strings; they are compared by etcd alone. */
export interface Versioned {
  readonly value: Bytes;
  readonly modRevision: string;
}

export type { Lease };

/** The mod_revision of a key that is not there. */
export const ABSENT = '0';

/** What must hold for a transaction to write. */
export type Condition = { readonly key: string; readonly modRevision: string } | { readonly key: string; readonly value: string };

export type Write = { readonly put: string; readonly value: Uint8Array } | { readonly delete: string };

export interface Transaction {
  readonly conditions: readonly Condition[];
  readonly writes: readonly Write[];
  /** Keys read at the same revision if a condition fails. */
  readonly otherwise: readonly string[];
}

export type Committed = { readonly applied: true } | { readonly applied: false; readonly found: (Versioned | undefined)[] };

export interface EtcdOptions {
  readonly endpoints: readonly string[];
  /** PEM files. */
  readonly tls: { readonly ca: string; readonly cert: string; readonly key: string };
  /** All keys live under it; ends with a slash. */
  readonly prefix: string;
}

const DEADLINE: Millis = 700; // a stopped leader is replaced in about 1.5 s; a longer wait only delays the next try

/**
 * The one way to etcd. Nothing here retries: a transaction without an answer may have been applied, or may be applied later, and
 * only those who know its meaning can try again. Reads throw STORE_UNAVAILABLE; transactions OUTCOME_UNKNOWN, or
 * STORE_UNAVAILABLE where etcd says that nothing happened.
 */
export class Etcd {
  readonly #client: Etcd3;
  /** One client for each member, to ask it about itself. */
  readonly #members: readonly Etcd3[];
  readonly #prefix: string;

  constructor(options: EtcdOptions) {
    this.#prefix = options.prefix;
    this.#client = connect(options, options.endpoints, () =>
      circuitBreaker(handleWhen(isMembersOwn), { halfOpenAfter: 1000, breaker: new ConsecutiveBreaker(2) }),
    );
    this.#members = options.endpoints.map((endpoint) => connect(options, [endpoint], () => noop));
  }
  /** Linearizable: several keys at one revision, in the order asked. */
  async read(...keys: string[]): Promise<(Versioned | undefined)[]> {
    const response = await reading(this.#client.kv.txn({ success: keys.map((key) => this.#get(key)) }));
    return keys.map((_, i) => versioned(response.responses[i]?.response_range.kvs[0]));
  }

  /** Linearizable: keys under `prefix` with their values, in order, at most `limit`, from after the key `after` on. */
  async list(prefix: string, limit: number, after?: string): Promise<{ key: string; value: Bytes }[]> {
    const from = after === undefined ? this.#key(prefix) : Buffer.concat([this.#key(after), Buffer.of(0)]);
    const response = await reading(this.#client.kv.range({ key: from, range_end: endOf(this.#key(prefix)), limit }));
    return response.kvs.map((kv) => ({ key: kv.key.toString().slice(this.#prefix.length), value: new Uint8Array(kv.value) }));
  }

  /** Writes everything or nothing. */
  async commit({ conditions, writes, otherwise }: Transaction): Promise<Committed> {
    let response: ITxnResponse;
    faultPoint('before-commit');
    try {
      response = await this.#client.kv.txn({
        compare: conditions.map((condition) => this.#compare(condition)),
        success: writes.map((write) => this.#write(write)),
        failure: otherwise.map((key) => this.#get(key)),
      });
    } catch (cause) {
      const fault = faultOf(cause);
      if (fault && refusals.has(fault)) throw new VaultError('STORE_UNAVAILABLE', `${storeFaults[fault]}.`, { cause });
      if (cause instanceof GRPCResourceExhastedError) throw new VaultError('STORE_UNAVAILABLE', 'etcd has too much to do.', { cause });
      throw new VaultError('OUTCOME_UNKNOWN', 'etcd did not answer; send exactly the same bytes again.', { cause });
    }
    faultPoint('after-commit');
    if (response.succeeded) return { applied: true };
    return { applied: false, found: otherwise.map((_, i) => versioned(response.responses[i]?.response_range.kvs[0])) };
  }

  /** A lease that the library keeps alive until it is lost; `ttl` in seconds. */
  lease(ttl: number): Lease {
    return this.#client.lease(ttl, { autoKeepAlive: true });
  }

  /** Puts a hint that goes away with its lease. */
  async putUnderLease(lease: Lease, key: string, value: Uint8Array): Promise<void> {
    await reading(lease.put(this.#key(key)).value(Buffer.from(value)).exec());
  }

  /**
   * Goes the way of an attempt and writes nothing, because its condition never holds: a majority agrees on it, with all that etcd asks
   * of a write (rights, space). Makes no revision. Throws STORE_UNAVAILABLE.
   */
  async rehearse(): Promise<void> {
    const key = this.#key('a/');
    await reading(
      this.#client.kv.txn({
        compare: [{ key, result: 'Less', target: 'Version', version: '0' }],
        success: [{ request_put: { key, value: Buffer.alloc(0) } }],
        failure: [this.#get('a/')],
      }),
    );
  }

  /** What each member of the configuration says of itself, in its order. Never throws. */
  members(): Promise<Member[]> {
    return Promise.all(
      this.#members.map(async ({ maintenance }): Promise<Member> => {
        try {
          const { leader, dbSize } = await maintenance.status();
          return { answers: true, hasLeader: leader !== '0', bytes: Number(dbSize) };
        } catch (error) {
          return { answers: false, fault: faultOf(error) ?? 'unreachable' };
        }
      }),
    );
  }

  /** Whether any member has run out of space. */
  async isOutOfSpace(): Promise<boolean> {
    const { alarms } = await reading(this.#client.maintenance.alarm({}));
    return alarms.some(({ alarm }) => String(alarm).toUpperCase() === 'NOSPACE');
  }

  close(): void {
    for (const client of [this.#client, ...this.#members]) client.close();
  }

  #key(key: string): Buffer {
    return Buffer.from(this.#prefix + key);
  }

  #get(key: string): IRequestOp {
    return { request_range: { key: this.#key(key) } };
  }

  #write(write: Write): IRequestOp {
    return 'put' in write
      ? { request_put: { key: this.#key(write.put), value: Buffer.from(write.value) } }
      : { request_delete_range: { key: this.#key(write.delete) } };
  }

  #compare(condition: Condition): ICompare {
    const key = this.#key(condition.key);
    return 'value' in condition
      ? { key, result: 'Equal', target: 'Value', value: Buffer.from(condition.value) }
      : { key, result: 'Equal', target: 'Mod', mod_revision: condition.modRevision };
  }
}

/** A failure that another member might not have: none of space, which the breaker would answer by stopping reads as well. */
const isMembersOwn = (error: Error): boolean => isRecoverableError(error) && !(error instanceof GRPCResourceExhastedError);

function connect({ tls }: EtcdOptions, hosts: readonly string[], host: () => IPolicy): Etcd3 {
  return new Etcd3({
    hosts: [...hosts],
    credentials: { rootCertificate: readFileSync(tls.ca), certChain: readFileSync(tls.cert), privateKey: readFileSync(tls.key) },
    grpcOptions: {
      'grpc.keepalive_time_ms': 5000,
      'grpc.keepalive_timeout_ms': 1500,
      'grpc.keepalive_permit_without_calls': 1,
      'grpc.max_reconnect_backoff_ms': 1000,
    },
    defaultCallOptions: (call) => (call.isStream ? {} : { deadline: Date.now() + DEADLINE }),
    faultHandling: { global: noop, host }, // the library's default replays transactions that were applied
  });
}

async function reading<T>(request: Promise<T>): Promise<T> {
  try {
    return await request;
  } catch (cause) {
    const fault = faultOf(cause);
    const why = fault ? storeFaults[fault] : 'etcd has no majority or cannot be reached';
    throw new VaultError('STORE_UNAVAILABLE', `${why}; send the same bytes again later.`, { cause });
  }
}

const versioned = (kv: IKeyValue | undefined): Versioned | undefined =>
  kv && { value: new Uint8Array(kv.value), modRevision: kv.mod_revision };

/** The first key behind all that begin with `prefix`, which ends with a slash. */
const endOf = (prefix: Buffer): Buffer => Buffer.concat([prefix.subarray(0, -1), Buffer.of((prefix.at(-1) as number) + 1)]);
