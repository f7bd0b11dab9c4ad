import { randomBytes } from 'node:crypto';
import { toHex } from '../../primitives/bytes.ts';
import { SecretBytes } from '../../primitives/secret-bytes.ts';
import type { BeginRecoveryRequest, FinishEnrollmentRequest } from '../../proto/gen/backupvault/v1/vault_pb.ts';

/** What one user's devices know together. */
export class Account {
  readonly recordId: string;
  readonly rid: string;
  readonly policy: { readonly limit: number; readonly coolDownMs: number; readonly holdMs: number };
  readonly backupKey = new SecretBytes(randomBytes(32));
  /** The generation, as it was heard last. */
  g: Uint8Array | undefined;
  /** No attempt is left, as far as is known. */
  isSpent = false;
  /** etcd lies about it: its promises of availability are off. */
  isRolledBack = false;
  /** Points that were sent, to send them again. */
  readonly guesses: BeginRecoveryRequest[] = [];
  readonly enrolments: FinishEnrollmentRequest[] = [];
  /** Sent, and not known what became of them. */
  readonly openGuesses = new Set<BeginRecoveryRequest>();
  readonly openEnrolments = new Set<FinishEnrollmentRequest>();
  readonly #codes = new Map<string, string>();

  constructor(recordId: string, rid: string, policy: Account['policy']) {
    this.recordId = recordId;
    this.rid = rid;
    this.policy = policy;
  }

  noteEnrolment(request: FinishEnrollmentRequest, code: string): void {
    const g = toHex(request.body?.g ?? new Uint8Array(0));
    if (this.#codes.has(g)) return; // sent again
    this.#codes.set(g, code);
    this.enrolments.push(request);
    this.openEnrolments.add(request);
  }

  /** The code of a generation; of the present one unless told. */
  codeOf(g: Uint8Array | undefined = this.g): string | undefined {
    return g && this.#codes.get(toHex(g));
  }
}
