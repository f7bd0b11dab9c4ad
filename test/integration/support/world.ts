import { readFileSync } from 'node:fs';
import { create } from '@bufbuild/protobuf';
import { Client as Channel, credentials } from '@grpc/grpc-js';
import { inject } from 'vitest';
import { everyAccount } from '../../../cli/every-account.ts';
import { memoryBlindStore } from '../../../client/blinds.ts';
import type { VaultTransport } from '../../../client/transport.ts';
import type { TrustedStatement } from '../../../client/trust.ts';
import { trustPinned } from '../../../client/trust-pinned.ts';
import { VaultClient } from '../../../client/vault-client.ts';
import { Etcd } from '../../../daemon/ledger/etcd.ts';
import { parseShown, type Shown } from '../../../daemon/ledger/guarded.ts';
import { connectPeer, type Peer } from '../../../daemon/replica/peer.ts';
import { type ClientFile, loadClientFile } from '../../../fleet/client-file.ts';
import type { TlsFiles } from '../../../fleet/produce/etcd-tls.ts';
import { GrantSigner } from '../../../frontend/grant-signer.ts';
import { frontendTransport } from '../../../frontend/transport.ts';
import { VaultConnection } from '../../../frontend/vault-connection.ts';
import { type Client, promiseClient } from '../../../grpc/bridge.ts';
import { type Bytes, fromHex } from '../../../primitives/bytes.ts';
import { type Clock, systemClock } from '../../../primitives/clock.ts';
import { ShowRequestSchema } from '../../../proto/gen/backupvault/v1/replica_pb.ts';
import { VaultService } from '../../../proto/gen/backupvault/v1/vault_pb.ts';
import type { Grant } from '../../../protocol/grant.ts';
import { ridFor } from '../../../protocol/record-id.ts';
import { quickHash } from '../../harness/soft-client.ts';
import { StoreView } from '../../harness/store-view.ts';
import type { FleetPlaces } from './counted-fleet.ts';
import { TokenUses } from './token-uses.ts';

export type Vote = Parameters<Peer['calls']['evaluate']>[0]['votes'][number];

/** A fleet with every credential there is: a test chooses which hostile party it plays. */
export class World {
  readonly places: FleetPlaces;
  readonly client: ClientFile;
  readonly statement: TrustedStatement;
  readonly store: StoreView;
  /** Writes to etcd behind the replicas' backs. */
  readonly etcd: Etcd;
  readonly #close: (() => void)[] = [];
  readonly #clock: Clock;

  private constructor(places: FleetPlaces, client: ClientFile, statement: TrustedStatement, clock: Clock) {
    this.#clock = clock;
    this.places = places;
    this.client = client;
    this.statement = statement;
    this.store = new StoreView(places.etcd, client.fleet);
    this.etcd = new Etcd({ endpoints: places.etcd.endpoints, tls: places.etcd.clientTls, prefix: `/bkv/${client.fleet}/` });
    this.#close.push(
      () => this.store.close(),
      () => this.etcd.close(),
    );
  }

  /** The shared fleet, which nobody disturbs: its devices send again at once. Elsewhere they wait as long as an app's. */
  static async open(own?: FleetPlaces): Promise<World> {
    const places = own ?? inject('fleet');
    const client = loadClientFile(places.clientFile);
    const channel = secureChannel(client.addresses[0] as string, client.tls);
    const { statement } = await promiseClient(VaultService, channel).getFleet({});
    channel.close();
    const statementHashes = client.statement_hashes.map((hash) => fromHex(hash, 'hash'));
    const trusted = trustPinned(statement, { kind: 'pinned', statementHashes }, Date.now());
    return new World(places, client, trusted as TrustedStatement, own ? systemClock : hasty);
  }

  get rival(): ClientFile {
    return loadClientFile(inject('others').rivalClientFile);
  }

  rid(recordId: string, { fleet, tenant }: ClientFile = this.client): Bytes {
    return ridFor(fleet, tenant, recordId);
  }

  /** What a tenant's frontend signs: anything that it likes. */
  grant(grant: Omit<Grant, 'fleet' | 'tenant'> & Partial<Grant>, { fleet, tenant, grant: { kid, key } }: ClientFile = this.client) {
    return new GrantSigner({ kid, pem: readFileSync(key, 'utf8') }).sign({ fleet, tenant, ...grant });
  }

  /** Replica i's peer port, as a hostile replica j calls it. */
  peer(index: number, tls: TlsFiles = this.replica(2).tls): Peer {
    const peer = connectPeer({ fleet: this.client.fleet, index, address: this.replica(index).peer, tls });
    this.#close.push(() => peer.close());
    return peer;
  }

  /** A replica's frontend port, without retries or failover. */
  frontend(tls: TlsFiles = this.client.tls, address: string = this.client.addresses[0] as string): Client<typeof VaultService> {
    const channel = secureChannel(address, tls);
    this.#close.push(() => channel.close());
    return promiseClient(VaultService, channel);
  }

  /** The generation that etcd names, as a replica shows it that holds it. */
  async committed(rid: Uint8Array): Promise<Shown> {
    const { bodyHash } = (await this.store.attempts(rid)) ?? {};
    for (const { index } of this.statement.replicas) {
      const { shown } = await this.peer(index).calls.show(create(ShowRequestSchema, { rid, ...(bodyHash && { bodyHash }) }));
      if (shown) return parseShown(shown);
    }
    throw new Error('no replica holds what etcd names');
  }

  /** What an honest frontend relays over. */
  transport({ fleet, tenant, addresses, tls, grant }: ClientFile = this.client): VaultTransport {
    const [ca, cert, key, pem] = [tls.ca, tls.cert, tls.key, grant.key].map((file) => readFileSync(file, 'utf8')) as [
      string,
      string,
      string,
      string,
    ];
    const connection = new VaultConnection({ addresses, tls: { ca, cert, key } });
    this.#close.push(() => connection.close());
    const signer = new GrantSigner({ kid: grant.kid, pem });
    return everyAccount((account) => frontendTransport({ connection, signer, fleet, tenant, account }));
  }

  /** A device of its own. It stretches codes quickly: that is not what is tested. `blinds`: of a device that was there before. */
  device(transport: VaultTransport = this.transport(), blinds = memoryBlindStore()): VaultClient {
    const { fleet, tenant, statement_hashes } = this.client;
    const statementHashes = statement_hashes.map((hash) => fromHex(hash, 'hash'));
    return new VaultClient({
      transport,
      policy: { kind: 'pinned', statementHashes },
      fleet,
      tenant,
      argon2id: quickHash,
      clock: this.#clock,
      blinds,
    });
  }

  /** What each token's keys are used on from now on. */
  watchTokens(): TokenUses[] {
    return this.places.replicas.map(({ uses }) => new TokenUses(uses));
  }

  replica(index: number): FleetPlaces['replicas'][number] {
    const replica = this.places.replicas[index - 1];
    if (!replica) throw new RangeError(`there is no replica ${index}`);
    return replica;
  }

  close(): void {
    for (const close of this.#close) close();
  }
}

const hasty: Clock = { ...systemClock, sleep: (duration) => systemClock.sleep(duration / 20) };

function secureChannel(address: string, { ca, cert, key }: TlsFiles): Channel {
  return new Channel(address, credentials.createSsl(readFileSync(ca), readFileSync(key), readFileSync(cert)), { 'grpc.enable_retries': 0 });
}
