/**
 * The one vocabulary of what can go wrong. Each code says what the caller does next; a message says it in one sentence.
 * `daemon/rpc/status.ts` maps every code to a gRPC status, `cli/exit-codes.ts` to a process exit code.
 */
export const errorCodes = {
  // What the caller sent
  MALFORMED: 'a field has the wrong length, form or range: mend the request',
  TOO_LARGE: 'a message is over the limit: mend the request',
  GRANT_REFUSED: 'the grant is missing, forged, for something else, or by an unknown key: have the frontend sign a fresh one',
  GRANT_EXPIRED: 'the grant is too old, or from the future: have the frontend sign a fresh one and send the same bytes again',
  CALLER_UNKNOWN: 'the TLS certificate names no tenant or replica of this fleet: check the certificate',
  FOREIGN_TENANT: 'the record belongs to another tenant: use that tenant’s certificate and grant',
  TICKET_REFUSED: 'the ticket is not of this replica since it started, or not for these values: begin the enrolment again with a fresh g',
  TICKET_EXPIRED: 'too much time passed since BeginEnrollment: begin the enrolment again with a fresh g',
  FINISH_REFUSED: 'the enrolment is not signed by who began it, or not for these bytes: send what the client made, unchanged',
  OWNER_REFUSED: 'a live record is replaced only with the signature of its owner key: recover first, or erase',
  POLICY_REFUSED: 'limit, cool-down, threshold or replicas are outside what the fleet allows: mend the body',
  PROOF_REFUSED: 'the proof of the code is wrong: nothing was released and nothing was spent',
  MAC_REFUSED: 'a stored value is not what this token wrote: it was edited, or belongs elsewhere',
  ERASURE_REFUSED: 'nothing shows that the record may be destroyed: have the frontend sign a fresh grant',
  VOTES_REFUSED: 'the votes do not show that t replicas counted this attempt',
  // The state of a record
  RECORD_UNKNOWN: 'no such record: enrol first',
  GENERATION_UNKNOWN: 'the record has another generation, or this replica does not hold it: describe, then use its g',
  GENERATION_CONFLICT: 'another enrolment came first, or the same g came with another body: describe, then start again',
  ATTEMPT_UNKNOWN: 'this replica has not counted that attempt: begin the recovery first',
  ATTEMPT_CONFLICT: 'that attempt was counted for another point: send exactly the same bytes again, and it gets another number',
  ATTEMPT_GAP: 'this replica missed earlier attempts, and was not shown them: show it their points and grants',
  EXHAUSTED: 'every attempt is spent: the record will be erased; a new backup key must be enrolled',
  ERASED: 'the record was erased: enrol again',
  COOLING_DOWN: 'the next attempt is not allowed yet: wait until the time given',
  HELD: 'the code is right, and its owner may still veto: send the same bytes again at the time given',
  VETOED: 'the owner vetoed this attempt, and it releases nothing: only a new attempt may',
  PROOF_CONFLICT: 'another proof came first for this attempt: begin a new one',
  LIST_OUTDATED: 'another device wrote the list meanwhile: read it, and write with the next counter',
  // The fleet
  OUTCOME_UNKNOWN: 'it may or may not have happened: send exactly the same bytes again, it costs nothing',
  NOT_ENOUGH_REPLICAS: 'fewer than t replicas answered: send the same bytes again later',
  STORE_UNAVAILABLE: 'etcd has no majority or does not answer: send the same bytes again later',
  RECORD_OUTDATED: 'etcd’s entry is from before a restore: the replica reconciles it with the guards; send the same bytes again',
  STORE_CORRUPT: 'a value in etcd is not what the fleet wrote: an operator must look',
  BUSY: 'the replica has too much to do: send the same bytes again later',
  TOKEN_UNAVAILABLE: 'the token is gone or logged out: wait for it, or use another replica',
  TOKEN_FAULT: 'the token refused or failed an operation: an operator must look',
  // Starting a daemon
  CONFIG_INVALID: 'the configuration is wrong: mend the file named',
  MODULE_MISSING: 'the PKCS#11 module cannot be loaded: check its path',
  TOKEN_MISSING: 'no slot holds the token named: check the label and the module’s own configuration',
  PIN_REFUSED: 'the token refused the PIN: check the PIN file before the token locks',
  KEY_MISSING:
    'a key of the replica is not in the token, or is there twice: provision the token; or it was destroyed: enrol the record again',
  TOKEN_UNFIT: 'the token cannot do what the vault needs, or allows what it must not',
  STATEMENT_MISMATCH:
    'the replica’s statement is not that of its token, of etcd or of who asks: replicas take up a new one one by one, so ask another, or again; if it stays, give the replica the fleet’s newest',
  GUARD_MISSING: 'the guard store is not there: restore it, or create it with the explicit command',
  GUARD_FAILING:
    'the guard’s disk is full, or fails: make room or mend it; a replica that serves comes back by itself, and another one may be asked meanwhile',
  GUARD_MISMATCH: 'the guard store is another replica’s, a copy, or older than the token remembers',
  PORT_BUSY: 'the address is in use or cannot be bound: check `listen`',
  // A witness and its log
  LOG_MISSING: 'a file that the log’s directory must hold is not there: restore it, or make a log with the explicit command',
  LOG_CORRUPT: 'the log does not hold what it signed, or a cosigner saw more: nothing is signed; an operator must look',
  LOG_UNAVAILABLE: 'the log or a witness does not answer: try again later',
  // The client
  WRONG_CODE: 'the code is wrong: ask again, attempts left are given',
  CODE_REJECTED: 'the code has a typing error or is too weak: nothing was sent',
  FLEET_UNTRUSTED: 'the fleet’s keys are not what the policy trusts: do not go on',
  REPLY_UNTRUSTED: 'replicas’ answers do not verify or do not agree: do not go on',
  INTERNAL: 'a fault of this software: report it',
} as const;

export type ErrorCode = keyof typeof errorCodes;

/** What a caller may need beside the code. Never a secret. */
export interface ErrorDetails {
  readonly attemptsUsed?: number;
  readonly attemptsLimit?: number;
  /** Milliseconds since the Unix epoch. */
  readonly notBefore?: number;
  /** HELD: names the proof, as `describe` names it to the owner's other devices. */
  readonly fingerprint?: string;
  readonly replicasAnswered?: number;
  readonly replicasNeeded?: number;
  /** Which check refused a fleet's statement, bundle or evidence: a code of fleet/verify/check-codes.ts. */
  readonly check?: string;
  /** What the other one of two fleets has of the same record, where it has one or may have: a Rival of client/locate.ts. */
  readonly rival?: string;
}

export class VaultError extends Error {
  override readonly name = 'VaultError';
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, message: string, options: { cause?: unknown; details?: ErrorDetails } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.details = options.details ?? {};
  }
}

export const isVaultError = (value: unknown, code?: ErrorCode): value is VaultError =>
  value instanceof VaultError && (code === undefined || value.code === code);
