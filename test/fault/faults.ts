import type { FaultPoint } from '../../daemon/fault-point.ts';
import type { Millis } from '../../primitives/brand.ts';

/** A replica by its index, a member of etcd by its number from 0, or the frontend. */
export type Party = `replica-${number}` | `etcd-${number}` | 'frontend';

/** Who of etcd's members: found out when it happens. */
export type EtcdTarget = 'leader' | 'follower';

/** What can be made to go wrong. */
export type FaultKind =
  /** SIGKILL; started again after `for`. With `dieAt` it kills itself at that point, and is started again without. */
  | {
      readonly kind: 'kill-replica';
      readonly replica: number;
      readonly dieAt: { readonly point: FaultPoint; readonly nth: number } | undefined;
    }
  /** SIGSTOP, then SIGCONT: its connections stay open and answer nothing. */
  | { readonly kind: 'stop-replica'; readonly replica: number }
  | { readonly kind: 'kill-etcd'; readonly who: EtcdTarget }
  | { readonly kind: 'stop-etcd'; readonly who: EtcdTarget }
  /** The leader of etcd is stopped until another leads and was read from; then the old one goes on with what it had in hand. */
  | { readonly kind: 'late-proposal' }
  /** One direction of a connection: bytes do not pass. When it heals they do after all, or the connection breaks. */
  | {
      readonly kind: 'cut-link';
      readonly from: Party;
      readonly to: Party;
      readonly direction: 'there' | 'back';
      readonly thenBreak: boolean;
    }
  /** Connections are reset, and new ones too. `for` 0: only those that are open. */
  | { readonly kind: 'reset-link'; readonly from: Party; readonly to: Party }
  | { readonly kind: 'slow-disk'; readonly replica: number; readonly flush: Millis }
  | { readonly kind: 'full-disk'; readonly replica: number }
  | { readonly kind: 'broken-disk'; readonly replica: number }
  /** A replica's wall clock is off. */
  | { readonly kind: 'clock'; readonly replica: number; readonly seconds: number }
  /** etcd lies about one record: its register is as it was some attempts ago. */
  | { readonly kind: 'roll-back' };

export type Fault = FaultKind & {
  /** From the start of the run. */
  readonly at: Millis;
  /** Until it heals. */
  readonly for: Millis;
  /** Nothing else goes wrong at that time, so that it shows how long the vault takes to serve again. */
  readonly alone: boolean;
};

export function describeFault(fault: FaultKind): string {
  switch (fault.kind) {
    case 'kill-replica':
      return `replica-${fault.replica}${fault.dieAt ? `, then at ${fault.dieAt.point} (${fault.dieAt.nth})` : ''}`;
    case 'stop-replica':
    case 'full-disk':
    case 'broken-disk':
      return `replica-${fault.replica}`;
    case 'slow-disk':
      return `replica-${fault.replica} by ${fault.flush} ms`;
    case 'clock':
      return `replica-${fault.replica} by ${fault.seconds} s`;
    case 'kill-etcd':
    case 'stop-etcd':
      return fault.who;
    case 'cut-link':
      return `${fault.from} ${fault.direction === 'there' ? '→' : '←'} ${fault.to}${fault.thenBreak ? ', then broken' : ''}`;
    case 'reset-link':
      return `${fault.from} ↔ ${fault.to}`;
    case 'late-proposal':
    case 'roll-back':
      return '';
  }
}
