import type { ErrorCode } from '../primitives/errors.ts';

/** What bkvd exits with, so that a supervisor can tell what a restart would help from what it would not. After sysexits.h. */
export const EXIT = {
  ok: 0,
  usage: 64,
  unavailable: 69, // a restart may help: etcd or the token is away, a disk is full
  internal: 70,
  refused: 77, // a PIN was wrong: do not restart, tokens lock
  configuration: 78, // a restart does not help
} as const;

const temporary: ReadonlySet<ErrorCode> = new Set([
  'STORE_UNAVAILABLE',
  'GUARD_FAILING',
  'OUTCOME_UNKNOWN',
  'TOKEN_UNAVAILABLE',
  'TOKEN_MISSING',
  'PORT_BUSY',
]);

export function exitCodeOf(code: ErrorCode): number {
  if (code === 'PIN_REFUSED') return EXIT.refused;
  if (code === 'INTERNAL' || code === 'TOKEN_FAULT') return EXIT.internal;
  return temporary.has(code) ? EXIT.unavailable : EXIT.configuration;
}
