import { expect, test } from 'vitest';
import { SoftFleet } from '../test/harness/soft-fleet.ts';
import { expectOwnKeys } from './inputs.ts';
import type { TokenIdentity } from './token/port.ts';

const { statement } = new SoftFleet();
const [self, other] = statement.replicas as [(typeof statement.replicas)[0], (typeof statement.replicas)[0]];
const token = statement.document.replicas[0]?.token as Omit<TokenIdentity, 'oprfKey' | 'releaseKey' | 'receiptKey'>;
const { oprfKey, releaseKey, receiptKey } = self;
const own: TokenIdentity = { ...token, oprfKey, releaseKey, receiptKey };

test('a replica serves under a statement that names its own token', () => {
  expectOwnKeys(statement, self, own);
  expectOwnKeys(statement, self, { ...own, firmware: 'mended' }); // what an update may change
});

test.each<[string, Partial<TokenIdentity>]>([
  ['OPRF key', { oprfKey: other.oprfKey }],
  ['release key', { releaseKey: other.releaseKey }],
  ['receipt key', { receiptKey: other.receiptKey }],
  ['serial number', { serial: '2' }],
])('a token with another %s is STATEMENT_MISMATCH', (_what, changes) => {
  expect(() => expectOwnKeys(statement, self, { ...own, ...changes })).toThrow(expect.objectContaining({ code: 'STATEMENT_MISMATCH' }));
});
