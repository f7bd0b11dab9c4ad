import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { Etcd, type Versioned, type Write } from '../../daemon/ledger/etcd.ts';
import { AttemptsSchema } from '../../proto/gen/backupvault/v1/record_pb.ts';
import type { EtcdCluster } from '../harness/etcd-cluster.ts';
import type { Account } from './account.ts';
import type { Prng } from './prng.ts';

/** Puts records back to what etcd held before: fewer attempts, or the generation before this one. */
export class EtcdLie {
  readonly #etcd: Etcd;
  readonly #random: Prng;
  readonly #kept = new Map<Account, Versioned>();

  constructor(cluster: EtcdCluster, fleet: string, random: Prng) {
    this.#etcd = new Etcd({ endpoints: cluster.endpoints, tls: cluster.clientTls, prefix: `/bkv/${fleet}/` });
    this.#random = random;
  }

  close(): void {
    this.#etcd.close();
  }

  /** Keeps one record as it is now, and puts another one back. Returns what it did to whom; undefined where etcd did not answer. */
  async tell(accounts: readonly Account[]): Promise<{ account: Account; what: string } | undefined> {
    try {
      const known = accounts.filter(({ g }) => g !== undefined);
      if (known.length < 2) return undefined;
      const keep = this.#random.pick(known);
      const register = this.#kept.has(keep) ? undefined : await this.#read(keep);
      if (register) this.#kept.set(keep, register);
      const old = [...this.#kept].find(([account]) => account !== keep && accounts.includes(account));
      if (old && this.#random.chance(0.5)) {
        this.#kept.delete(old[0]);
        return await this.#restore(...old);
      }
      return await this.#forget(this.#random.pick(known.filter((account) => account !== keep)));
    } catch {
      return undefined;
    }
  }

  async #restore(account: Account, register: Versioned): Promise<{ account: Account; what: string } | undefined> {
    account.isRolledBack = true; // whether or not etcd answers
    await this.#put([{ put: `a/${account.rid}`, value: register.value }]);
    return { account, what: `${account.recordId} to an older state` };
  }

  /** Forgets attempts: some, or all. */
  async #forget(account: Account): Promise<{ account: Account; what: string } | undefined> {
    const register = await this.#read(account);
    if (!register) return undefined;
    const attempts = fromBinary(AttemptsSchema, register.value);
    const left = this.#random.integer(0, Math.max(0, attempts.points.length - 1));
    if (left === attempts.points.length) return undefined;
    account.isRolledBack = true;
    const next = create(AttemptsSchema, { ...attempts, points: attempts.points.slice(0, left) });
    await this.#put([{ put: `a/${account.rid}`, value: toBinary(AttemptsSchema, next) }, { delete: `x/${account.rid}` }]);
    return { account, what: `${account.recordId} from ${attempts.points.length} attempts to ${left}` };
  }

  async #read({ rid }: Account): Promise<Versioned | undefined> {
    return (await this.#etcd.read(`a/${rid}`))[0];
  }

  async #put(writes: readonly Write[]): Promise<void> {
    await this.#etcd.commit({ conditions: [], writes, otherwise: [] });
  }
}
