import { create } from '@bufbuild/protobuf';
import { refuse } from '../fleet/verify/checks.ts';
import type { Clock } from '../primitives/clock.ts';
import { GetFleetRequestSchema } from '../proto/gen/backupvault/v1/vault_pb.ts';
import { insist } from './insist.ts';
import type { VaultTransport } from './transport.ts';
import type { Believed, FleetReply, Trust, TrustedStatement } from './trust.ts';
import { expectInForce } from './trust-pinned.ts';

/** The newest statement of one fleet that the policy accepted. */
export class Fleet {
  readonly name: string;
  readonly #trust: Trust;
  readonly #transport: VaultTransport;
  readonly #clock: Clock;
  #known: Believed | undefined;

  constructor(name: string, trust: Trust, transport: VaultTransport, clock: Clock) {
    this.name = name;
    this.#trust = trust;
    this.#transport = transport;
    this.#clock = clock;
  }

  /** 0 if none is known: the vault sends its statement to whoever lacks the epoch. */
  get knownEpoch(): bigint {
    return BigInt(this.#known?.statement.epoch ?? 0);
  }

  /** Throws FLEET_UNTRUSTED. */
  async statement(): Promise<TrustedStatement> {
    const now = this.#clock.now();
    if (!this.#known || now >= this.#known.freshUntil) return this.renew();
    expectInForce(this.#known.statement, now);
    return this.#known.statement;
  }

  /** Asks for the fleet's present statement. Throws FLEET_UNTRUSTED. */
  renew(): Promise<TrustedStatement> {
    return this.#believe(undefined);
  }

  /** Takes a statement that came with a reply. Throws FLEET_UNTRUSTED. */
  learn(said: FleetReply): Promise<TrustedStatement> {
    return this.#believe(said);
  }

  async #believe(said: FleetReply | undefined): Promise<TrustedStatement> {
    const ask = (treeSize: number) =>
      insist(this.#clock, () => this.#transport.getFleet(create(GetFleetRequestSchema, { treeSize: BigInt(treeSize) })));
    const believed = await this.#trust.believe({ fleet: this.name, said, ask, now: this.#clock.now() });
    const { epoch } = believed.statement;
    if (epoch < this.knownEpoch) throw refuse('statement-older', `The statement of epoch ${epoch} is older than one seen before.`);
    this.#known = believed;
    return believed.statement;
  }
}
