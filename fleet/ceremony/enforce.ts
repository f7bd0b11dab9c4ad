import type { Millis } from '../../primitives/brand.ts';
import { utf8 } from '../../primitives/bytes.ts';
import type { Statement } from '../../protocol/statement.ts';
import type { BundleSigner } from '../produce/cms.ts';
import { signInForce } from '../produce/in-force.ts';
import { readAnchors, type Strictness } from '../verify/anchors.ts';
import { refusalIn } from '../verify/checks.ts';
import { verifyEvidence } from '../verify/evidence.ts';
import type { EvidenceFiles } from '../verify/files.ts';
import { parseInForce, verifyInForce } from '../verify/in-force.ts';
import { readEvidence } from './read-evidence.ts';

export interface Enforcement extends Strictness {
  /** The evidence, sealed. */
  readonly directory: string;
  /** From then on statements of older epochs are refused. */
  readonly refuseOlderFrom: Millis;
  readonly operator: BundleSigner;
  /** As for seal. */
  readonly anchors: EvidenceFiles;
  readonly now: Millis;
}

/**
 * What the operator signs to put a sealed statement's epoch in force, for the witness to log. Nothing is signed for evidence that does not
 * hold, or with a key that nobody would believe. Throws FLEET_UNTRUSTED with the check that fails.
 */
export function enforceEpoch({ directory, refuseOlderFrom, operator, anchors, now, ...strictness }: Enforcement): {
  readonly statement: Statement;
  readonly signed: string;
} {
  const known = readAnchors(anchors, '');
  const { checks, bundle } = verifyEvidence(readEvidence(directory), { anchors: known, ...strictness }, now);
  const refusal = refusalIn(checks);
  if (refusal) throw refusal;
  const { statement } = bundle as NonNullable<typeof bundle>; // every check holds
  const signed = signInForce(statement, refuseOlderFrom, operator, now);
  verifyInForce(parseInForce(utf8(signed)), new Map([[statement.fleet, [known.authorities.operator]]])); // as everyone will
  return { statement, signed };
}
