import canonicalize from 'canonicalize';
import type { Millis } from '../../primitives/brand.ts';
import { toHex, utf8 } from '../../primitives/bytes.ts';
import type { Statement } from '../../protocol/statement.ts';
import { type BundleSigner, signSmime } from './cms.ts';

/** What the operator signs to put the statement's epoch in force: an entry for the witness's log. `refuseOlderFrom` is cut to seconds. */
export function signInForce(
  { fleet, epoch, hash }: Pick<Statement, 'fleet' | 'epoch' | 'hash'>,
  refuseOlderFrom: Millis,
  operator: BundleSigner,
  now: Millis,
): string {
  const document = {
    type: 'backup-key-vault/in-force/v1',
    fleet,
    epoch,
    statement: toHex(hash),
    refuse_older_from: new Date(refuseOlderFrom).toISOString().replace(/\.\d{3}Z$/, 'Z'),
  };
  return signSmime(utf8(canonicalize(document) as string), operator, now);
}
