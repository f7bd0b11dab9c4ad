import { fromBinary } from '@bufbuild/protobuf';
import { Etcd } from '../../daemon/ledger/etcd.ts';
import { toHex } from '../../primitives/bytes.ts';
import { type Attempts, AttemptsSchema } from '../../proto/gen/backupvault/v1/record_pb.ts';
import type { EtcdCluster } from './etcd-cluster.ts';

const MOST_KEYS = 10_000;

/** A look at what the replicas keep in etcd; it never writes. */
export class StoreView {
  readonly #etcd: Etcd;

  constructor(cluster: Pick<EtcdCluster, 'endpoints' | 'clientTls'>, fleet: string) {
    this.#etcd = new Etcd({ endpoints: cluster.endpoints, tls: cluster.clientTls, prefix: `/bkv/${fleet}/` });
  }

  async attempts(rid: Uint8Array): Promise<Attempts | undefined> {
    const value = await this.#value(`a/${toHex(rid)}`);
    return value && fromBinary(AttemptsSchema, value);
  }

  /** Whether the record waits for its erasure. */
  async isExhausted(rid: Uint8Array): Promise<boolean> {
    return (await this.#value(`x/${toHex(rid)}`)) !== undefined;
  }

  /** Bytes of value that one record takes. */
  async size(rid: Uint8Array): Promise<number> {
    const values = await Promise.all(['a', 'x'].map((kind) => this.#value(`${kind}/${toHex(rid)}`)));
    return values.reduce((sum, value) => sum + (value?.length ?? 0), 0);
  }

  /** Every key in whose name a record is. */
  async keysOf(rid: Uint8Array): Promise<string[]> {
    const all = await this.#etcd.list('', MOST_KEYS);
    return all.map(({ key }) => key).filter((key) => key.includes(toHex(rid)));
  }

  close(): void {
    this.#etcd.close();
  }

  async #value(key: string): Promise<Uint8Array | undefined> {
    return (await this.#etcd.read(key))[0]?.value;
  }
}
