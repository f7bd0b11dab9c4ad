import type { Millis } from '../../primitives/brand.ts';
import { constantTimeEqual } from '../../primitives/bytes.ts';
import { type Anchors, expectSameAnchors, readAnchors, type Strictness } from './anchors.ts';
import { checkBundle, type VerifiedBundle } from './bundle.ts';
import { type Check, Checklist, refuse } from './checks.ts';
import { checkDeployment, type Deployment } from './deployment.ts';
import { checkEnforcement } from './enforcement.ts';
import { type EvidenceFiles, need } from './files.ts';

/**
 * `trusted`: every check holds, against anchors known from elsewhere. `consistent`: every check holds, but against the anchors that lie
 * beside the evidence, which whoever made it up would have made up, too. `refused`: a check failed.
 */
export type Verdict = 'trusted' | 'consistent' | 'refused';

export interface EvidenceReport extends Deployment {
  readonly verdict: Verdict;
  readonly checks: readonly Check[];
  readonly bundle: VerifiedBundle | undefined;
  /** Those that were used. */
  readonly anchors: Anchors | undefined;
}

/** Whom and what to believe; `anchors` are undefined for whoever has none from elsewhere. */
export interface EvidencePolicy extends Strictness {
  readonly anchors: Anchors | undefined;
}

/** Verifies all of an evidence directory, one check after another. Never throws for what the files say. */
export function verifyEvidence(files: EvidenceFiles, policy: EvidencePolicy, now: Millis): EvidenceReport {
  const list = new Checklist();
  const deployment = checkDeployment(list, files);
  const own = list.run('anchors', 'The evidence says whose keys it rests on', [], () => [
    readAnchors(files, 'anchors/'),
    'Authorities of operator and witness, key of the log.',
  ]);
  const known = policy.anchors;
  if (known) list.run('known-anchors', 'They are the keys known from elsewhere', [own], (ours) => [true, expectSameAnchors(ours, known)]);
  const anchors = known ?? own;
  const bundle = anchors && checkSigned(list, files, anchors, policy, deployment, now);
  return { ...deployment, bundle, anchors, checks: list.checks, verdict: list.ok ? (known ? 'trusted' : 'consistent') : 'refused' };
}

function checkSigned(
  list: Checklist,
  files: EvidenceFiles,
  { authorities, log }: Anchors,
  { checkpointAgeMost, operatorsLeast }: Strictness,
  { statement }: Deployment,
  now: Millis,
): VerifiedBundle | undefined {
  const part = list.run('signed', 'There are a bundle and a proof', [], () => [
    { smime: need(files, 'validation-bundle.txt'), logProof: need(files, 'log-proof.txt') },
    'validation-bundle.txt and log-proof.txt.',
  ]);
  if (!part) return undefined;
  const policy = { ...log, checkpointAgeMost };
  const checked = checkBundle(
    list,
    part,
    {
      authorities,
      log: policy,
      epochLeast: 1,
      operatorsLeast,
      draining: false,
      remembered: undefined,
    },
    now,
  );
  list.run(
    'same-statement',
    'What operator and witness signed is the statement in the evidence',
    [checked.claimed, statement],
    (signed, stated) => {
      if (!constantTimeEqual(signed.bytes, stated.bytes))
        throw refuse('evidence-mismatch', 'The bundle is of another statement than the evidence.');
      return [true, 'The same bytes.'];
    },
  );
  checkEnforcement(list, files, { authorities, log: policy }, checked, now);
  return checked.verified;
}
