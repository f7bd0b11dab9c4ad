import { join } from 'node:path';
import type { Millis } from '../../primitives/brand.ts';
import { utf8 } from '../../primitives/bytes.ts';
import { type BundleSigner, countersign } from '../produce/cms.ts';
import { PUBLIC, writeNew } from '../produce/files.ts';
import { buildPage } from '../produce/page.ts';
import { anchorFiles, readAnchors, type Strictness } from '../verify/anchors.ts';
import { refusalIn } from '../verify/checks.ts';
import { type EvidenceReport, verifyEvidence } from '../verify/evidence.ts';
import { type EvidenceFiles, need } from '../verify/files.ts';
import { readEvidence } from './read-evidence.ts';

export interface Sealing extends Strictness {
  readonly directory: string;
  /** What the witness answered: the statement, signed by it, as S/MIME. */
  readonly witnessed: string;
  readonly logProof: Uint8Array;
  readonly operator: BundleSigner;
  /** operator-ca.pem, witness-ca.pem, log-policy.txt, from where they are known. */
  readonly anchors: EvidenceFiles;
  /** The page without evidence. */
  readonly template: string;
  readonly now: Millis;
}

/**
 * The operator signs over the witness's signature, and the evidence is complete. It is verified as everybody will verify it before
 * anything is written; throws FLEET_UNTRUSTED when a check fails.
 */
export function seal({ directory, witnessed, logProof, operator, anchors, template, now, ...strictness }: Sealing): EvidenceReport {
  const added = new Map<string, Uint8Array>([
    ['validation-bundle.txt', utf8(countersign(witnessed, operator, now))],
    ['log-proof.txt', logProof],
    ...anchorFiles.map((name) => [`anchors/${name}`, need(anchors, name)] as const),
  ]);
  const files = new Map([...readEvidence(directory), ...added]);
  const report = verifyEvidence(files, { anchors: readAnchors(anchors, ''), ...strictness }, now);
  const refusal = refusalIn(report.checks);
  if (refusal) throw refusal;
  for (const [name, bytes] of added) writeNew(join(directory, name), bytes, PUBLIC);
  writeNew(join(directory, 'index.html'), buildPage(template, files), PUBLIC);
  return report;
}
