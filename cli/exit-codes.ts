import type { ErrorCode } from '../primitives/errors.ts';

/** The exit codes of bkvctl, and what a script does next. They are part of its interface: never renumbered. */
export const exitCodes = {
  OK: 0,
  INTERNAL: 1, // a fault of this software: report it
  USAGE: 2, // wrong arguments, a malformed value, a rejected code: mend the command; nothing was sent or nothing was done
  WRONG_CODE: 3, // ask the user again; attempts left are given
  GONE: 4, // every attempt spent, or the record erased: the code opens nothing any more; enrol anew
  TRY_AGAIN: 5, // it may or may not have happened, or not yet: the same command again spends nothing twice
  UNAVAILABLE: 6, // too few replicas, no etcd majority, no token: wait, or call an operator
  UNTRUSTED: 7, // the fleet or its replies are not what was pinned: do not go on
  REFUSED: 8, // grant, certificate, owner or policy does not allow it: get permission
  CONFIGURATION: 9, // a file, token or address is not as it must be: the message names it
  RECORD_STATE: 10, // the record is not there, or not what the command thought: describe it, then decide
  FIT_WITH_RISKS: 11, // hsm probe: the token will do, if the risks that it names are acceptable
  NOT_FIT: 12, // hsm probe: the token will not do, and the output says why
  HELD: 13, // the code is right: the same command with the same --blinds, and without --anew, at the time given
  CONSISTENT: 19, // evidence agrees with itself, and nothing from elsewhere says that it is right: give --anchors
  // 20 and above: which check failed (check-exit-codes.ts)
} as const;

type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

const { INTERNAL, USAGE, WRONG_CODE, GONE, TRY_AGAIN, HELD, UNAVAILABLE, UNTRUSTED, REFUSED, CONFIGURATION, RECORD_STATE } = exitCodes;

const byError = {
  MALFORMED: USAGE,
  TOO_LARGE: USAGE,
  CODE_REJECTED: USAGE,

  WRONG_CODE: WRONG_CODE,

  EXHAUSTED: GONE,
  ERASED: GONE,

  OUTCOME_UNKNOWN: TRY_AGAIN,
  BUSY: TRY_AGAIN,
  COOLING_DOWN: TRY_AGAIN,
  HELD: HELD,
  LIST_OUTDATED: TRY_AGAIN,
  TICKET_EXPIRED: TRY_AGAIN,
  GRANT_EXPIRED: TRY_AGAIN,

  NOT_ENOUGH_REPLICAS: UNAVAILABLE,
  STORE_UNAVAILABLE: UNAVAILABLE,
  RECORD_OUTDATED: UNAVAILABLE,
  TOKEN_UNAVAILABLE: UNAVAILABLE,
  TOKEN_FAULT: UNAVAILABLE,
  LOG_UNAVAILABLE: UNAVAILABLE,

  FLEET_UNTRUSTED: UNTRUSTED,
  REPLY_UNTRUSTED: UNTRUSTED,
  STORE_CORRUPT: UNTRUSTED,
  LOG_CORRUPT: UNTRUSTED,
  MAC_REFUSED: UNTRUSTED,
  ERASURE_REFUSED: UNTRUSTED,
  VOTES_REFUSED: UNTRUSTED,
  ATTEMPT_CONFLICT: UNTRUSTED,
  ATTEMPT_GAP: UNTRUSTED,

  GRANT_REFUSED: REFUSED,
  VETOED: REFUSED,
  CALLER_UNKNOWN: REFUSED,
  FOREIGN_TENANT: REFUSED,
  OWNER_REFUSED: REFUSED,
  POLICY_REFUSED: REFUSED,
  TICKET_REFUSED: REFUSED,
  FINISH_REFUSED: REFUSED,
  PROOF_REFUSED: REFUSED,

  CONFIG_INVALID: CONFIGURATION,
  MODULE_MISSING: CONFIGURATION,
  TOKEN_MISSING: CONFIGURATION,
  PIN_REFUSED: CONFIGURATION,
  KEY_MISSING: CONFIGURATION,
  TOKEN_UNFIT: CONFIGURATION,
  STATEMENT_MISMATCH: CONFIGURATION,
  GUARD_MISSING: CONFIGURATION,
  GUARD_FAILING: UNAVAILABLE,
  LOG_MISSING: CONFIGURATION,
  GUARD_MISMATCH: CONFIGURATION,
  PORT_BUSY: CONFIGURATION,

  RECORD_UNKNOWN: RECORD_STATE,
  GENERATION_UNKNOWN: RECORD_STATE,
  GENERATION_CONFLICT: RECORD_STATE,
  ATTEMPT_UNKNOWN: RECORD_STATE,
  PROOF_CONFLICT: RECORD_STATE,

  INTERNAL: INTERNAL,
} as const satisfies Record<ErrorCode, ExitCode>;

export const exitCodeOf = (code: ErrorCode): ExitCode => byError[code];

/** Whether the same command may still succeed. */
export const isOpen = (code: ExitCode): boolean => code === TRY_AGAIN || code === UNAVAILABLE;
