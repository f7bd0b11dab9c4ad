import { Command } from 'commander';
import { readEvidence } from '../fleet/ceremony/read-evidence.ts';
import { fingerprints, readAnchors } from '../fleet/verify/anchors.ts';
import { verifyEvidence } from '../fleet/verify/evidence.ts';
import { hashWords } from '../fleet/verify/words.ts';
import { toHex } from '../primitives/bytes.ts';
import { checkResult } from './check-result.ts';
import { exitCodes } from './exit-codes.ts';
import type { Output } from './output.ts';
import { anchorsIn, type StrictnessOptions, strictnessOf, timeOf, withStrictness } from './strictness-options.ts';

interface Options extends StrictnessOptions {
  readonly anchors?: string;
}

export const evidenceVerifyCommand = (output: Output): Command =>
  withStrictness(
    new Command('verify')
      .description('verify all that a ceremony left, check by check; asks nobody')
      .argument('<directory>', 'the evidence')
      .option('--anchors <directory>', 'operator-ca.pem, witness-ca.pem and log-policy.txt as known from elsewhere; trusted only with it'),
    366,
  ).action((directory: string, options: Options) => verify(directory, options, output));

function verify(directory: string, options: Options, output: Output): void {
  const anchors = options.anchors === undefined ? undefined : readAnchors(anchorsIn(options.anchors), '');
  const report = verifyEvidence(readEvidence(directory), { anchors, ...strictnessOf(options) }, timeOf(options));
  const { statement, verdict, participants } = report;
  const hash = statement && toHex(statement.hash);
  const document = {
    verdict,
    fleet: statement?.fleet,
    epoch: statement?.epoch,
    statement_hash: hash,
    statement_words: hash && hashWords(hash),
    anchors: report.anchors && fingerprints(report.anchors),
    participants: participants?.map(({ name, role, verdict: said, exceptions }) => ({ name, role, verdict: said, exceptions })),
  };
  const what = `Fleet ${statement?.fleet}, epoch ${statement?.epoch}, statement ${hash}`;
  const good =
    verdict === 'trusted'
      ? `Trusted. ${what}.`
      : `Consistent with its own anchors, which whoever made the evidence chose: give --anchors to trust it. ${what}.`;
  checkResult(output, report.checks, document, good);
  if (verdict === 'consistent') output.exitCode = exitCodes.CONSISTENT;
}
