import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { type OpenVault, openVault } from '../../cli/open-vault.ts';
import { provisionInChild } from '../../cli/provision-in-child.ts';
import type { GuardIdentity } from '../../daemon/ledger/guard-store.ts';
import { type ClientFile, loadClientFile } from '../../fleet/client-file.ts';
import { produceFleet } from '../../fleet/produce/fleet.ts';
import { type DaemonSettings, type Ports, placeOf, type ReplicaPlace } from '../../fleet/produce/fleet-plan.ts';
import { type Changes, restateFleet } from '../../fleet/produce/restate.ts';
import type { Bytes } from '../../primitives/bytes.ts';
import { ridFor } from '../../protocol/record-id.ts';
import type { Statement } from '../../protocol/statement.ts';
import { type EtcdCluster, startEtcd } from './etcd-cluster.ts';
import { freePorts } from './free-port.ts';
import type { ManagedProcess } from './managed-process.ts';
import { scratchDirectory } from './reaper.ts';
import { replicaProcess } from './replica-process.ts';
import { StoreView } from './store-view.ts';

export interface DevFleetOptions {
  /** 'harness' unless told. */
  readonly fleet?: string;
  /** 'acme' unless told. */
  readonly tenant?: string;
  /** 3 unless told. */
  readonly replicas?: number;
  /** The majority unless told. */
  readonly threshold?: number;
  /** 3 unless told. */
  readonly etcdMembers?: number;
  /** Of every daemon. Limits and grace are days in life; tests choose milliseconds. */
  readonly settings?: DaemonSettings;
  /** 'softhsm2' unless told; by index, for replicas whose token is of another kind. A name or a path. */
  readonly otherProfiles?: Readonly<Record<number, string>>;
  /** Told each step before it begins. */
  readonly progress?: (step: string) => void;
}

/** As a fleet's next statement says it. */
export type Restating = Partial<Omit<Changes, 'joining' | 'provision' | 'now'>> & { readonly joining?: readonly number[] };

export interface DevReplica {
  readonly place: ReplicaPlace;
  readonly process: ManagedProcess;
  /** On 127.0.0.1, for frontends, for peers and for Prometheus. */
  readonly ports: Ports;
  readonly guardDirectory: string;
  readonly guardIdentity: GuardIdentity;
}

/** A whole fleet on loopback: real etcd, real daemons, real (software) tokens. */
export class DevFleet {
  readonly directory: string;
  /** That of the last `restate`. */
  statement: Statement;
  readonly etcd: EtcdCluster;
  /** In order of index. */
  replicas: readonly DevReplica[];
  readonly store: StoreView;
  /** For `bkvctl --client`. */
  readonly clientFile: string;
  client: ClientFile;
  readonly #opened: OpenVault[] = [];

  private constructor(fields: Pick<DevFleet, 'directory' | 'statement' | 'etcd' | 'replicas' | 'clientFile'>) {
    this.directory = fields.directory;
    this.statement = fields.statement;
    this.etcd = fields.etcd;
    this.replicas = fields.replicas;
    this.clientFile = fields.clientFile;
    this.client = loadClientFile(fields.clientFile);
    this.store = new StoreView(fields.etcd, fields.statement.fleet);
  }

  /** Resolves when every replica serves. If it rejects, nothing is left running. */
  static async start(options: DevFleetOptions = {}): Promise<DevFleet> {
    const {
      fleet: name = 'harness',
      tenant = 'acme',
      replicas = 3,
      threshold = Math.floor(replicas / 2) + 1,
      etcdMembers = 3,
      settings = {},
      otherProfiles = {},
      progress = () => {},
    } = options;
    progress(`starting ${etcdMembers} etcd members`);
    const etcd = await startEtcd({ members: etcdMembers });
    try {
      const ports = await portsFor(replicas);
      const directory = join(scratchDirectory('fleet'), name);
      const produced = await produceFleet({
        ...{ directory, fleet: name, tenant, threshold, ports, settings, progress },
        etcdEndpoints: etcd.endpoints,
        etcdTls: etcd.tls,
        profile: 'softhsm2',
        otherProfiles,
        software: { version: '0.0.0', digest: 'development' },
        provision: provisionInChild,
        now: Date.now(),
      });
      const { clientFile, statement } = produced;
      const fleet = new DevFleet({
        directory,
        statement,
        etcd,
        clientFile,
        replicas: produced.replicas.map((place, i) => toReplica(place, ports[i] as Ports, clientFile)),
      });
      progress(`starting ${replicas} replicas`);
      try {
        await Promise.all(fleet.replicas.map(({ process }) => process.start()));
      } catch (error) {
        await fleet.stop();
        throw error;
      }
      return fleet;
    } catch (error) {
      await etcd.stop();
      throw error;
    }
  }

  replica(index: number): DevReplica {
    const replica = this.replicas.find(({ place }) => place.index === index);
    if (!replica) throw new RangeError(`there is no replica ${index}`);
    return replica;
  }

  /** Stops every replica, makes the next statement, with replicas that join and leave, and starts those of the fleet. */
  async restate(changes: Restating): Promise<void> {
    await Promise.all(this.replicas.map(({ process }) => process.stop()));
    await this.state(changes);
    await Promise.all(this.replicas.map(({ process }) => process.start()));
  }

  /** Makes the next statement, of a fleet that is at rest. */
  async state({ joining = [], ...changes }: Restating): Promise<void> {
    const ports = await portsFor(joining.length);
    const added = new Map(joining.map((index, i) => [index, ports[i] as Ports]));
    this.statement = await restateFleet(this.directory, {
      ...{ storeRestored: false, guardsLost: [], leaving: [], threshold: undefined, ended: [], ...changes },
      ...{ joining: added, provision: provisionInChild, now: Date.now() },
    });
    this.client = loadClientFile(this.clientFile);
    const { fleet, replicas } = this.statement;
    const before = new Map(this.replicas.map((replica) => [replica.place.index, replica]));
    this.replicas = replicas.map(
      ({ index }) => before.get(index) ?? toReplica(placeOf(this.directory, fleet, index), added.get(index) as Ports, this.clientFile),
    );
  }

  /** A device behind its own frontend connection; `addresses` are the replicas it knows, all unless told. Closed with the fleet. */
  open(addresses: readonly string[] = this.client.addresses): OpenVault {
    const opened = openVault({ ...this.client, addresses: [...addresses] });
    this.#opened.push(opened);
    return opened;
  }

  rid(recordId: string): Bytes {
    return ridFor(this.client.fleet, this.client.tenant, recordId);
  }

  /** Stops everything and removes every file. */
  async stop(): Promise<void> {
    for (const { close } of this.#opened) close();
    this.store.close();
    await Promise.all(this.replicas.map(({ process }) => process.stop()));
    await this.etcd.stop();
    rmSync(join(this.directory, '..'), { recursive: true, force: true });
  }
}

async function portsFor(replicas: number): Promise<Ports[]> {
  const ports = await freePorts(3 * replicas);
  return Array.from({ length: replicas }, (_, i) => {
    const [frontend, peer, metrics] = ports.slice(3 * i) as [number, number, number];
    return { frontend, peer, metrics };
  });
}

const toReplica = (place: ReplicaPlace, ports: Ports, clientFile: string): DevReplica => ({
  place,
  ports,
  process: replicaProcess(place, clientFile),
  guardDirectory: join(place.directory, 'guard'),
  guardIdentity: { fleet: place.fleet, replica: place.index, incarnation: 1 },
});
