import type { Bytes } from '../primitives/bytes.ts';
import type { Clock } from '../primitives/clock.ts';
import type { Receipt } from '../protocol/receipt.ts';
import { ridFor } from '../protocol/record-id.ts';
import type { Statement } from '../protocol/statement.ts';
import type { Blinds } from './blinds.ts';
import type { Fleet } from './fleet.ts';
import type { MadeAttempts } from './made-attempts.ts';
import type { Argon2id } from './stretch.ts';
import type { VaultTransport } from './transport.ts';

/** What every operation of the client works with. */
export interface Vault {
  readonly transport: VaultTransport;
  readonly fleet: Fleet;
  /** As the frontend's TLS certificate names it. */
  readonly tenant: string;
  readonly argon2id: Argon2id;
  readonly made: MadeAttempts;
  readonly blinds: Blinds;
  readonly clock: Clock;
  /** The fleet that this one replaces, while it does. */
  readonly draining: Vault | undefined;
  /** Told every receipt that verified, also of attempts whose code was wrong. */
  readonly onReceipts: ReceiptListener;
}

export type ReceiptListener = (statement: Statement, receipts: readonly Receipt[]) => void;

export const ridOf = (vault: Vault, recordId: string): Bytes => ridFor(vault.fleet.name, vault.tenant, recordId);

/** What is being done, for a progress display. `asking` and `storing` wait for the network, `stretching` takes a good part of a second. */
export type Step = 'describing' | 'asking' | 'stretching' | 'combining' | 'releasing' | 'storing' | 'renewing';

export type Progress = (step: Step) => void;
