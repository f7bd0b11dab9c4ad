import { create } from '@bufbuild/protobuf';
import type { Clock } from '../primitives/clock.ts';
import { VaultError } from '../primitives/errors.ts';
import { GetFleetRequestSchema } from '../proto/gen/backupvault/v1/vault_pb.ts';
import { insist } from './insist.ts';
import type { VaultTransport } from './transport.ts';
import { expectInForce, type TrustedStatement, type TrustPolicy, trustStatement } from './trust-policy.ts';

/** The newest statement of one fleet that the policy accepted. */
export class Fleet {
  readonly name: string;
  readonly #policy: TrustPolicy;
  readonly #transport: VaultTransport;
  readonly #clock: Clock;
  #known: TrustedStatement | undefined;

  constructor(name: string, policy: TrustPolicy, transport: VaultTransport, clock: Clock) {
    this.name = name;
    this.#policy = policy;
    this.#transport = transport;
    this.#clock = clock;
  }

  /** 0 if none is known: the vault sends its statement to whoever lacks the epoch. */
  get knownEpoch(): bigint {
    return BigInt(this.#known?.epoch ?? 0);
  }

  /** Throws FLEET_UNTRUSTED. */
  async statement(): Promise<TrustedStatement> {
    if (!this.#known) {
      const { statement } = await insist(this.#clock, () => this.#transport.getFleet(create(GetFleetRequestSchema)));
      return this.learn(statement);
    }
    expectInForce(this.#known, this.#clock.now());
    return this.#known;
  }

  /** Takes a statement that came with a reply. Throws FLEET_UNTRUSTED. */
  async learn(bytes: Uint8Array): Promise<TrustedStatement> {
    const statement = await trustStatement(bytes, this.#policy, this.#clock.now());
    if (statement.fleet !== this.name)
      throw new VaultError('FLEET_UNTRUSTED', `The statement is of the fleet ${statement.fleet}, not of ${this.name}.`);
    if (statement.epoch < this.knownEpoch)
      throw new VaultError('FLEET_UNTRUSTED', `The statement of epoch ${statement.epoch} is older than one seen before.`);
    this.#known = statement;
    return statement;
  }
}
