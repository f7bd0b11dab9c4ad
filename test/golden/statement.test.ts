import { p256 } from '@noble/curves/nist.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { expect, test } from 'vitest';
import { toHex, utf8 } from '../../primitives/bytes.ts';
import { encodeStatement, parseStatement, STATEMENT_TYPE, type StatementDocument } from '../../protocol/statement.ts';
import { meeting } from '../../protocol/terms.ts';

const key = (what: string) => toHex(p256.getPublicKey(sha256(utf8(what))));

const replica = (index: number): StatementDocument['replicas'][number] => ({
  ...{ index, name: `replica-${index}`, operator: 'example', guard_incarnation: 1, key_attributes: {} },
  ...{ oprf_key: key(`oprf ${index}`), release_key: key(`release ${index}`), receipt_key: key(`receipt ${index}`) },
  token: { manufacturer: 'Example', model: 'E1', serial: String(index), firmware: '1.0' },
});

const terms = (epoch: number, threshold: number, indices: readonly number[]) => ({
  ...{ epoch, threshold },
  replicas: indices.map((index) => ({ index, receipt_key: replica(index).receipt_key })),
});

// A difference here is another protocol, as for the transcripts.
test('a statement’s bytes, and the terms that follow from it, are frozen', async () => {
  const bytes = encodeStatement({
    ...{ type: STATEMENT_TYPE, fleet: 'golden', epoch: 4, previous: '11'.repeat(32), threshold: 3 },
    replicas: [1, 2, 3, 6].map(replica),
    earlier: [terms(1, 2, [1, 2, 3]), terms(2, 3, [1, 2, 3, 4, 5])],
    store_incarnation: 2,
    ...{ not_before: '2026-01-01T00:00:00Z', not_after: '2027-01-01T00:00:00Z' },
    software: { version: '0.0.0', digest: 'golden' },
    evidence: null,
  });
  const statement = parseStatement(bytes);
  const golden = {
    statement: new TextDecoder().decode(bytes),
    sha256: toHex(statement.hash),
    terms: [...statement.terms.values()].map((of) => ({
      ...{ epoch: of.epoch, threshold: of.threshold, indices: [...of.indices].join(' '), remaining: [...of.remaining].join(' ') },
      meeting: meeting(of),
    })),
  };
  await expect(`${JSON.stringify(golden, undefined, 2)}\n`).toMatchFileSnapshot('statement.json');
});
