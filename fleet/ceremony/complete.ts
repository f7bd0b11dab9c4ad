import { join } from 'node:path';
import type { Millis } from '../../primitives/brand.ts';
import { utf8 } from '../../primitives/bytes.ts';
import { buildPage } from '../produce/page.ts';
import { readAnchors, type Strictness } from '../verify/anchors.ts';
import { refusalIn } from '../verify/checks.ts';
import { IN_FORCE_FILE, IN_FORCE_PROOF } from '../verify/enforcement.ts';
import { type EvidenceReport, verifyEvidence } from '../verify/evidence.ts';
import type { EvidenceFiles } from '../verify/files.ts';
import { writeDurably } from '../witness/durable-file.ts';
import { readEvidence } from './read-evidence.ts';

export interface Completion extends Strictness {
  /** The evidence, sealed. */
  readonly directory: string;
  /** What the operator signed to put its epoch in force. */
  readonly inForce: Uint8Array;
  /** As the witness gave them back: that the log holds it, and that it holds the statement. */
  readonly inForceProof: Uint8Array;
  readonly logProof: Uint8Array;
  /** As for seal. */
  readonly anchors: EvidenceFiles;
  readonly template: string;
  readonly now: Millis;
}

/**
 * Adds to sealed evidence that its epoch was put in force, and replaces proof and page. Verified as everybody will verify it before
 * anything is written; throws FLEET_UNTRUSTED when a check fails. Can be repeated.
 */
export function complete({
  directory,
  inForce,
  inForceProof,
  logProof,
  anchors,
  template,
  now,
  ...strictness
}: Completion): EvidenceReport {
  const added = new Map([
    [IN_FORCE_FILE, inForce],
    [IN_FORCE_PROOF, inForceProof],
    ['log-proof.txt', logProof],
  ]);
  const files = new Map([...readEvidence(directory), ...added]);
  const report = verifyEvidence(files, { anchors: readAnchors(anchors, ''), ...strictness }, now);
  const refusal = refusalIn(report.checks);
  if (refusal) throw refusal;
  for (const [name, bytes] of added) writeDurably(join(directory, name), bytes);
  writeDurably(join(directory, 'index.html'), utf8(buildPage(template, files)));
  return report;
}
