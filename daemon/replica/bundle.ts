import { type FittingBundle, parsePublished } from '../../fleet/verify/published-bundle.ts';
import type { Millis } from '../../primitives/brand.ts';
import { constantTimeEqual } from '../../primitives/bytes.ts';
import type { Clock } from '../../primitives/clock.ts';
import { isVaultError } from '../../primitives/errors.ts';
import type { Statement } from '../../protocol/statement.ts';
import { readBundle } from '../ledger/bundles.ts';
import type { Etcd } from '../ledger/etcd.ts';
import type { Events } from '../telemetry/events.ts';
import { Rounds } from './rounds.ts';

interface Options {
  readonly statement: Statement;
  readonly interval: Millis;
  readonly clock: Clock;
  readonly events: Events;
}

/**
 * The validation bundle of the statement that this replica serves under, as the operator published it. The replica believes nothing in
 * it and has no keys to: it looks whether it fits, so that nobody is handed what must be refused. Clients verify.
 */
export class Bundle extends Rounds {
  readonly #etcd: Etcd;
  readonly #options: Options;
  #raw: Uint8Array = new Uint8Array(0);
  #current: FittingBundle | undefined;

  constructor(etcd: Etcd, options: Options) {
    super(options.clock, async () => {
      await this.look();
      return options.interval;
    });
    this.#etcd = etcd;
    this.#options = options;
  }

  /** As of the last look that etcd answered; undefined where none is published, or none that fits. */
  get current(): FittingBundle | undefined {
    return this.#current;
  }

  /** One look. Never throws: without etcd the bundle stays as it was. */
  async look(): Promise<void> {
    const { statement, events } = this.#options;
    let raw: Uint8Array;
    try {
      raw = (await readBundle(this.#etcd, statement.hash)) ?? new Uint8Array(0);
    } catch {
      return; // Membership says that etcd does not answer
    }
    if (constantTimeEqual(raw, this.#raw)) return;
    this.#raw = raw;
    this.#current = undefined;
    if (raw.length === 0) return events.bundleRefused('it is gone from etcd');
    try {
      this.#current = parsePublished(raw, statement.bytes);
      events.bundleTaken(this.#current.treeSize);
    } catch (error) {
      events.bundleRefused(isVaultError(error) ? error.message : 'it cannot be read');
    }
  }
}
