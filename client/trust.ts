import { Mutex } from 'async-mutex';
import { parseLogTrust, type TrustedCheckpoint } from '../fleet/log/policy.ts';
import { parseProof } from '../fleet/log/proof.ts';
import { type BundlePolicy, verifyBundle } from '../fleet/verify/bundle.ts';
import { parseCertificate } from '../fleet/verify/certificate.ts';
import { refuse } from '../fleet/verify/checks.ts';
import type { Brand, Millis } from '../primitives/brand.ts';
import { utf8 } from '../primitives/bytes.ts';
import type { ValidationBundle } from '../proto/gen/backupvault/v1/vault_pb.ts';
import type { Statement } from '../protocol/statement.ts';
import { trustPinned } from './trust-pinned.ts';
import { expectEpoch, expectRemembered, expectStrict, type Remembered, type TrustPolicy, type WitnessedPolicy } from './trust-policy.ts';

/** Comes from a Trust alone; nothing else of the client takes a fleet's keys. */
export type TrustedStatement = Brand<Statement, 'TrustedStatement'>;

/** What a vault says of its fleet, with any reply. */
export interface FleetReply {
  readonly statement: Uint8Array;
  readonly bundle?: ValidationBundle | undefined;
  readonly consistency?: readonly Uint8Array[];
}

export interface Claim {
  readonly fleet: string;
  /** What came with a reply, if anything did. */
  readonly said: FleetReply | undefined;
  /** Asks the vault (GetFleet), naming how large the log was when it was seen last. */
  readonly ask: (treeSize: number) => Promise<FleetReply>;
  readonly now: Millis;
}

export interface Believed {
  readonly statement: TrustedStatement;
  /** From then on the vault must be asked again. */
  readonly freshUntil: Millis;
}

export interface Trust {
  /** Throws FLEET_UNTRUSTED, whose details name the check that failed, and what `ask` throws. */
  believe(claim: Claim): Promise<Believed>;
}

/** Throws MALFORMED, FLEET_UNTRUSTED for a policy that is wrong in itself. */
export function trustIn(policy: TrustPolicy): Trust {
  return policy.kind === 'pinned' ? pinnedTrust(policy.statementHashes, 1) : new WitnessedTrust(policy, undefined);
}

/** In a fleet that is being replaced: it may be of an older epoch than the newest seen, down to `epochLeast`. */
export function trustInDraining(policy: TrustPolicy, epochLeast: number): Trust {
  expectEpoch(epochLeast);
  return policy.kind === 'pinned' ? pinnedTrust(policy.statementHashes, epochLeast) : new WitnessedTrust(policy, epochLeast);
}

const pinnedTrust = (statementHashes: readonly Uint8Array[], epochLeast: number): Trust => ({
  async believe({ fleet, said, ask, now }) {
    const { statement: bytes } = said ?? (await ask(0));
    const statement = trustPinned(bytes, { kind: 'pinned', statementHashes }, now);
    if (statement.epoch < epochLeast)
      throw refuse('statement-older', `The statement is of epoch ${statement.epoch}; ${epochLeast} is the lowest that is accepted.`);
    return { statement: ofFleet(statement, fleet), freshUntil: Number.POSITIVE_INFINITY };
  },
});

/** Two who learn at once must not both build on what one of them has overwritten. */
const locks = new WeakMap<WitnessedPolicy['memory'], Mutex>();

class WitnessedTrust implements Trust {
  readonly #policy: WitnessedPolicy;
  readonly #anchors: Pick<BundlePolicy, 'authorities' | 'log'>;
  readonly #drainingFrom: number | undefined;
  readonly #lock: Mutex;

  constructor(policy: WitnessedPolicy, drainingFrom: number | undefined) {
    expectStrict(policy);
    const { operatorCa, witnessCa, logPolicy, checkpointAgeMost, memory } = policy;
    this.#policy = policy;
    this.#anchors = {
      authorities: { operator: parseCertificate(operatorCa), witness: parseCertificate(witnessCa) },
      log: { ...parseLogTrust(typeof logPolicy === 'string' ? utf8(logPolicy) : logPolicy), checkpointAgeMost },
    };
    this.#drainingFrom = drainingFrom;
    this.#lock = locks.get(memory) ?? new Mutex();
    locks.set(memory, this.#lock);
  }

  believe(claim: Claim): Promise<Believed> {
    return this.#lock.runExclusive(() => this.#believe(claim));
  }

  async #believe({ fleet, said, ask, now }: Claim): Promise<Believed> {
    const { memory, checkpointAgeMost, operatorsLeast } = this.#policy;
    const remembered = expectRemembered(await memory.load());
    const grown = said && growthIn(said, remembered);
    const reply = said && grown === undefined ? said : await ask(remembered?.checkpoint.size ?? 0);
    const { bundle, consistency } = reply;
    if (!bundle) throw refuse('signature-missing', 'The vault gives a bare statement, which nobody signed.');
    // The list of checks is fleet/verify/bundle.ts, the same for everybody who verifies.
    const { statement, checkpoint, supersededFrom } = verifyBundle(
      { ...bundle, consistency },
      {
        ...this.#anchors,
        epochLeast: this.#epochLeast(remembered),
        operatorsLeast,
        draining: this.#drainingFrom !== undefined,
        remembered: remembered?.checkpoint,
      },
      now,
    );
    if (grown !== undefined && checkpoint.size < grown)
      throw refuse('log-shrank', `The log shows ${checkpoint.size} entries; a reply just before had ${grown}. Try again in a minute.`);
    const trusted = ofFleet(statement, fleet); // before anything is remembered of it
    await this.#remember(remembered, trusted, checkpoint);
    return { statement: trusted, freshUntil: Math.min(checkpoint.signedAt + checkpointAgeMost, supersededFrom) };
  }

  #epochLeast(remembered: Remembered | undefined): number {
    return this.#drainingFrom ?? Math.max(this.#policy.epochLeast, remembered?.epochLeast ?? 0);
  }

  async #remember(before: Remembered | undefined, { epoch }: Statement, { origin, size, root }: TrustedCheckpoint): Promise<void> {
    const least = Math.max(this.#policy.epochLeast, before?.epochLeast ?? 0);
    const epochLeast = this.#drainingFrom === undefined ? Math.max(least, epoch) : least; // a draining fleet is on its way out
    if (before?.epochLeast === epochLeast && before.checkpoint.size === size) return;
    await this.#policy.memory.save({ epochLeast, checkpoint: { origin, size, root } });
  }
}

/** The size of a log that grew. Then what was said is not enough: that the log continues what was seen must be shown. */
function growthIn({ bundle }: FleetReply, remembered: Remembered | undefined): number | undefined {
  if (!bundle || !remembered) return undefined;
  try {
    const { size } = parseProof(bundle.logProof).checkpoint;
    return size > remembered.checkpoint.size ? size : undefined;
  } catch {
    return undefined; // the checks say what is wrong with it
  }
}

function ofFleet(statement: Statement, fleet: string): TrustedStatement {
  if (statement.fleet !== fleet) throw refuse('fleet-differs', `The statement is of the fleet ${statement.fleet}, not of ${fleet}.`);
  return statement as TrustedStatement;
}
