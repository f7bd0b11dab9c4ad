import type { KeyObject } from 'node:crypto';
import type { Millis } from '../../primitives/brand.ts';
import type { Clock } from '../../primitives/clock.ts';
import type { Replica, Statement } from '../../protocol/statement.ts';
import type { Guard } from '../ledger/guard.ts';
import type { Register } from '../ledger/register.ts';
import type { TokenPort } from '../token/port.ts';
import type { GrantVerifier } from './grants.ts';
import type { TicketSecrets } from './ticket-secrets.ts';

/** What a replica is made of: every step of the protocol works on this. compose.ts makes it. */
export interface Vault {
  readonly statement: Statement;
  /** This replica, as the statement has it. */
  readonly self: Replica;
  readonly token: TokenPort;
  readonly guard: Guard;
  readonly register: Register;
  readonly grants: GrantVerifier;
  readonly tickets: TicketSecrets;
  /** V_i of every replica, by index. */
  readonly receiptKeys: ReadonlyMap<number, KeyObject>;
  readonly clock: Clock;
  readonly bounds: { readonly limitMost: number; readonly coolDownLeast: Millis };
  readonly ticketLife: Millis;
  /** How long an exhausted record is kept. */
  readonly eraseGrace: Millis;
}
