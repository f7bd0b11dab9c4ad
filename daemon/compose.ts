import type { Server } from '@grpc/grpc-js';
import { HealthImplementation } from 'grpc-health-check';
import type { Millis } from '../primitives/brand.ts';
import { type Clock, systemClock } from '../primitives/clock.ts';
import type { VaultError } from '../primitives/errors.ts';
import { ReplicaService } from '../proto/gen/backupvault/v1/replica_pb.ts';
import { VaultService } from '../proto/gen/backupvault/v1/vault_pb.ts';
import { MAX_MESSAGE_LENGTH, MAX_PEER_MESSAGE_LENGTH } from '../protocol/message.ts';
import type { Config } from './config.ts';
import { expectCertificates, expectOwnKeys, readStatement, readTenantKeys } from './inputs.ts';
import { Etcd } from './ledger/etcd.ts';
import { Guard } from './ledger/guard.ts';
import { GuardStore } from './ledger/guard-store.ts';
import { Register } from './ledger/register.ts';
import { openOwnToken } from './own-token.ts';
import { Bundle } from './replica/bundle.ts';
import type { Fleet } from './replica/fleet.ts';
import { askingElsewhere } from './replica/holds.ts';
import { Housekeeping } from './replica/housekeeping.ts';
import { Membership } from './replica/membership.ts';
import { localParticipant, replicaService } from './replica/participant.ts';
import { connectPeer } from './replica/peer.ts';
import { Rounds } from './replica/rounds.ts';
import { Space } from './replica/space.ts';
import { StoreWatch } from './replica/store-watch.ts';
import { replicaOf, tenantOf } from './rpc/caller.ts';
import { serveMetrics } from './rpc/metrics.ts';
import { serve } from './rpc/server.ts';
import { vaultService } from './rpc/vault-service.ts';
import { Serving } from './serving.ts';
import type { Events } from './telemetry/events.ts';
import { Tenure } from './tenure.ts';
import type { OpenToken } from './token/open-token.ts';
import { hangsInModule } from './token/pool/pool.ts';
import { GrantVerifier } from './vault/grants.ts';
import { receiptKeys } from './vault/p256.ts';
import type { Elsewhere } from './vault/release.ts';
import { TicketSecrets } from './vault/ticket-secrets.ts';
import type { Vault } from './vault/vault.ts';

/** Undoes what was set up, last first. */
export type Stop = () => Promise<void>;

/** Would an exit wait for ever, for a thread that is in the token's module? */
export const exitWouldHang = (): boolean => hangsInModule();

/**
 * Wires a replica, in the order in which each part can refuse: files, token, statement, guard, etcd, then the outside. Rejects with
 * the reason where a promise could not be kept; then everything begun is undone. `onLost` is told when it must not go on.
 */
export async function startReplica(config: Config, version: string, events: Events, onLost: (error: VaultError) => void): Promise<Stop> {
  const undo: Stop[] = [];
  const stop = async () => {
    const failures: unknown[] = [];
    for (const step of undo.splice(0).reverse()) await step().catch((error: unknown) => failures.push(error)); // the others are undone all the same
    if (failures.length > 0) throw failures[0];
  };
  const starting: Starting = { step: 'reading its files' };
  const slow = setInterval(() => events.startsSlowly(starting.step), SLOW_START);
  try {
    const fleet = await openFleet(config, events, systemClock, undo, starting);
    starting.step = 'opening its ports';
    await openToOutside(config, version, fleet, onLost, undo);
    return stop;
  } catch (error) {
    await stop().catch(() => {}); // why it could not start is what matters
    throw error;
  } finally {
    clearInterval(slow);
  }
}

const SLOW_START: Millis = 10_000;

/** What a start is at, for whoever waits for it. */
interface Starting {
  step: string;
}

interface OpenFleet extends Fleet {
  readonly store: StoreWatch;
  readonly token: OpenToken;
  readonly tenure: Tenure;
  readonly guard: GuardStore;
  readonly elsewhere: Elsewhere;
}

async function openFleet(config: Config, events: Events, clock: Clock, undo: Stop[], starting: Starting): Promise<OpenFleet> {
  const { statement, self, peers: others } = readStatement(config);
  const grants = new GrantVerifier(readTenantKeys(config), clock);
  expectCertificates(config);
  starting.step = 'opening and testing its token';
  const token = await openOwnToken(config, statement, (event) =>
    events.token(event.kind, 'reason' in event ? event.reason : '', 'fault' in event ? event.fault : undefined),
  );
  undo.push(() => token.close());
  expectOwnKeys(statement, self, token.identity);

  const { guardIncarnation: incarnation } = self;
  starting.step = 'opening its guard';
  const store = await GuardStore.open(config.guard, { fleet: statement.fleet, replica: self.index, incarnation });
  const guard = new Guard(store);
  undo.push(() => guard.close());

  starting.step = 'asking etcd';
  const etcd = new Etcd({ ...config.etcd, prefix: `/bkv/${statement.fleet}/` });
  undo.push(async () => etcd.close());
  const register = new Register(etcd, statement.document.store_incarnation, clock);
  await register.initialise(await store.memory());
  await store.rememberIncarnation(statement.document.store_incarnation);
  starting.step = 'taking over its token and guard';
  const tenure = await Tenure.begin(token, store, incarnation, clock);

  const tickets = startTickets(config, clock, undo);
  const vault: Vault = {
    statement,
    self,
    token,
    guard,
    register,
    grants,
    tickets,
    receiptKeys: receiptKeys(statement),
    clock,
    bounds: { limitMost: config.bounds.limit_most, coolDownLeast: config.bounds.cool_down_least_ms },
    ticketLife: config.ticket_life_ms,
    eraseGrace: config.erase_grace_ms,
  };
  const peers = others.map(({ index, address }) => connectPeer({ fleet: statement.fleet, index, address, tls: config.tls.peer }));
  undo.push(async () => {
    for (const peer of peers) peer.close();
  });
  const elsewhere = askingElsewhere(vault, peers);
  const participants = [localParticipant(vault, elsewhere), ...peers].sort((a, b) => a.index - b.index);

  const about = { name: self.name, frontend: config.listen.frontend };
  const membership = begin(new Membership(etcd, { index: self.index, about, clock, events }), undo);
  const watch = begin(new StoreWatch(etcd, clock), undo);
  const space = begin(new Space(etcd, { quota: config.etcd.quota_bytes, clock, events }), undo);
  const bundle = new Bundle(etcd, { statement, interval: config.bundle_interval_ms, clock, events });
  starting.step = 'reading the bundle';
  await bundle.look(); // whoever is served first gets it, too
  begin(bundle, undo);
  return {
    ...{ vault, participants, events, store: watch, token, tenure, guard: store },
    elsewhere,
    present: () => membership.present(),
    hasRoom: () => !space.isShort,
    bundle: () => bundle.current,
  };
}

/** Wipes each ticket secret when its time has come. */
function startTickets({ ticket_life_ms }: Config, clock: Clock, undo: Stop[]): TicketSecrets {
  const tickets = new TicketSecrets(clock, ticket_life_ms);
  undo.push(async () => tickets.wipe());
  begin(new Rounds(clock, async () => tickets.turn()), undo);
  return tickets;
}

function begin<R extends Rounds>(rounds: R, undo: Stop[]): R {
  rounds.start();
  undo.push(() => rounds.stop());
  return rounds;
}

async function openToOutside(
  config: Config,
  version: string,
  fleet: OpenFleet,
  onLost: (error: VaultError) => void,
  undo: Stop[],
): Promise<void> {
  const { vault, events } = fleet;
  const { statement, clock } = vault;
  const health = new HealthImplementation({ '': 'NOT_SERVING' });
  const context = { health, events, clock };
  const peerServer = await serve(
    {
      address: config.listen.peer,
      tls: config.tls.peer,
      service: ReplicaService,
      mostLength: MAX_PEER_MESSAGE_LENGTH,
      handlers: replicaService(vault, fleet.elsewhere),
      identify: (call) => replicaOf(call, statement),
    },
    context,
  );
  undo.push(() => shutDown(peerServer));
  const frontendServer = await serve(
    {
      address: config.listen.frontend,
      tls: config.tls.frontend,
      service: VaultService,
      mostLength: MAX_MESSAGE_LENGTH,
      handlers: vaultService(fleet),
      identify: tenantOf,
    },
    context,
  );
  undo.push(() => shutDown(frontendServer));
  if (config.listen.metrics) {
    const metrics = await serveMetrics(config.listen.metrics, events.registry);
    undo.push(async () => void metrics.close());
  }
  begin(new Housekeeping(fleet, config.sweep_interval_ms), undo);
  const { store, token, tenure, guard } = fleet;
  const serving = new Serving({ health, events, clock, store, token, tenure, guard, onLost });
  serving.start();
  undo.push(async () => serving.stop());
  events.started(version, { ...config.listen, keySets: token.identity.keySets });
}

const SHUTDOWN_MS = 2000;

/** Lets calls under way finish; streams that clients hold open (health watches) do not hold us. */
function shutDown(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const force = setTimeout(() => {
      server.forceShutdown();
      resolve();
    }, SHUTDOWN_MS);
    server.tryShutdown(() => {
      clearTimeout(force);
      resolve();
    });
  });
}
