import { p256 } from '@noble/curves/nist.js';
import { sha256 } from '@noble/hashes/sha2.js';
import type { Signer } from '../../fleet/signing-token/signer.ts';
import type { Millis } from '../../primitives/brand.ts';
import { toHex, utf8 } from '../../primitives/bytes.ts';
import { encodeStatement, parseStatement, STATEMENT_TYPE, type Statement, type StatementDocument } from '../../protocol/statement.ts';
import { softKey } from './test-log.ts';

// For tests: statements, and a log's key in memory.

export function softSigner(name: string): Signer {
  const { publicKey, sign } = softKey(name);
  return { kind: 'ed25519', publicKey, sign };
}

/** A clock that stands until it is set. */
export class StandingClock {
  #now: Millis = Date.UTC(2026, 0, 1);

  now(): Millis {
    return this.#now;
  }

  pass(duration: Millis): void {
    this.#now += duration;
  }
}

/** The statement of the epoch after `previous`, or of the first. */
export function softStatement(previous?: Statement, changes: Partial<StatementDocument> = {}): Statement {
  const epoch = (previous?.epoch ?? 0) + 1;
  const key = (what: string) => toHex(p256.getPublicKey(sha256(utf8(`${epoch} ${what}`))));
  const document: StatementDocument = {
    type: STATEMENT_TYPE,
    fleet: 'test',
    epoch,
    previous: previous ? toHex(previous.hash) : null,
    threshold: 2,
    replicas: [1, 2, 3].map((index) => ({
      index,
      name: `replica-${index}`,
      operator: 'test',
      oprf_key: key(`oprf ${index}`),
      release_key: key(`release ${index}`),
      receipt_key: key(`receipt ${index}`),
      guard_incarnation: 1,
      token: { manufacturer: 'SoftHSM project', model: 'SoftHSM v2', serial: `${index}`, firmware: '2.6' },
      key_attributes: {},
    })),
    earlier: [],
    store_incarnation: 1,
    not_before: '2026-01-01T00:00:00.000Z',
    not_after: '2027-01-01T00:00:00.000Z',
    software: { version: '0.0.0', digest: 'test' },
    evidence: toHex(sha256(utf8(`evidence ${changes.fleet ?? 'test'} ${epoch}`))),
    ...changes,
  };
  return parseStatement(encodeStatement(document));
}
