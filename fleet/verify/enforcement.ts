import type { Millis } from '../../primitives/brand.ts';
import { toHex } from '../../primitives/bytes.ts';
import type { Statement } from '../../protocol/statement.ts';
import { type LogPolicy, type TrustedCheckpoint, verifyCheckpoint } from '../log/policy.ts';
import { parseProof, provesEntry } from '../log/proof.ts';
import type { VerifiedBundle } from './bundle.ts';
import { type Checklist, refuse, refusingMalformed } from './checks.ts';
import { type EvidenceFiles, need } from './files.ts';
import { type InForce, parseInForce, verifyInForce } from './in-force.ts';
import type { Authorities } from './layers.ts';
import { newestIn, toSeconds } from './newest.ts';

/** What the operator signed to put the statement's epoch in force. It comes after the evidence is sealed, and may be missing. */
export const IN_FORCE_FILE = 'in-force.txt';
export const IN_FORCE_PROOF = 'in-force-proof.txt';

/** Where the evidence says that its epoch was put in force: that it was, and that the log's checkpoints say so. */
export function checkEnforcement(
  list: Checklist,
  files: EvidenceFiles,
  { authorities, log }: { readonly authorities: Authorities; readonly log: LogPolicy },
  { claimed, verified }: { readonly claimed: Statement | undefined; readonly verified: VerifiedBundle | undefined },
  now: Millis,
): void {
  if (!files.has(IN_FORCE_FILE) && !files.has(IN_FORCE_PROOF)) return;
  const enforced = list.run('put-in-force', 'The operator put its epoch in force', [claimed], ({ fleet, epoch, hash }) => {
    const parsed = parseInForce(need(files, IN_FORCE_FILE));
    verifyInForce(parsed, new Map([[fleet, [authorities.operator]]]));
    if (parsed.fleet !== fleet || parsed.epoch !== epoch || parsed.statement !== toHex(hash))
      throw refuse('in-force-refused', 'What the operator put in force is another statement than that of the evidence.');
    return [parsed, `Epoch ${epoch}; older ones are refused from ${toSeconds(parsed.refuseOlderFrom)}.`];
  });
  list.run('in-force-logged', 'The log holds that, and its checkpoints name the epoch', [enforced, verified], (one, { checkpoint }) => {
    const proof = refusingMalformed('proof-malformed', () => parseProof(need(files, IN_FORCE_PROOF)));
    const trusted = verifyCheckpoint(proof.note, log, now);
    if (!provesEntry(proof, need(files, IN_FORCE_FILE)))
      throw refuse('inclusion-proof', 'The proof does not lead from what the operator put in force to the log’s root.');
    for (const larger of [trusted, checkpoint]) if (larger.size > proof.index) expectNamed(larger, one);
    return [true, `It is entry ${proof.index}.`];
  });
}

/** A checkpoint that covers it names it, or what came after it. */
function expectNamed({ extensions, size }: TrustedCheckpoint, { fleet, epoch, refuseOlderFrom }: InForce): void {
  const newest = newestIn(extensions, fleet);
  if (newest && newest.epoch > epoch) return;
  if (newest?.epoch !== epoch || newest.refuseOlderFrom > refuseOlderFrom)
    throw refuse('newest-mismatch', `The checkpoint of ${size} entries does not name epoch ${epoch} of ${fleet}, which they put in force.`);
}
