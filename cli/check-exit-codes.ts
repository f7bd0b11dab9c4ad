import type { CheckCode } from '../fleet/verify/check-codes.ts';

/** The exit code of `evidence verify`, `bundle verify`, `log verify` and `log audit` for each check that fails. Never renumbered. */
export const checkExitCodes = {
  // The statement
  'statement-malformed': 20,
  'threshold-not-majority': 21,
  'duplicate-name': 22,
  'duplicate-key': 23,
  'duplicate-serial': 24,
  'statement-not-in-force': 25,
  'statement-older': 26,
  'operators-few': 29,
  'statement-superseded': 65,
  'epoch-gap': 27,
  'previous-mismatch': 28,
  // The bundle
  'bundle-malformed': 30,
  'signature-missing': 31,
  'order-swapped': 32,
  'statement-tampered': 33,
  'certificate-expired': 34,
  'certificate-untrusted': 35,
  // The log
  'proof-malformed': 40,
  'checkpoint-signature': 41,
  'checkpoint-stale': 42,
  'log-shrank': 48,
  'inclusion-proof': 43,
  'log-forked': 44,
  'newest-mismatch': 49,
  'in-force-refused': 66,
  'cosignatures-few': 45,
  'checkpoint-malformed': 46,
  'tree-mismatch': 47,
  // The evidence
  'evidence-incomplete': 50,
  'manifest-mismatch': 51,
  'evidence-mismatch': 52,
  'plan-mismatch': 53,
  'transcript-broken': 54,
  'token-key-differs': 55,
  'attributes-unsafe': 56,
  'participant-missing': 57,
  'participant-signature': 58,
  'participant-disagrees': 59,
  'anchors-differ': 60,
  // What a client expects
  'statement-not-pinned': 61,
  'fleet-differs': 62,
  'fleet-not-older': 63,
  'memory-damaged': 64,
} as const satisfies Record<CheckCode, number>;
