import { Command } from 'commander';
import { readAnchors } from '../fleet/verify/anchors.ts';
import { checkBundle } from '../fleet/verify/bundle.ts';
import { Checklist } from '../fleet/verify/checks.ts';
import { toHex } from '../primitives/bytes.ts';
import { integer, readInput } from './arguments.ts';
import { checkResult } from './check-result.ts';
import type { Output } from './output.ts';
import { anchorsIn, type StrictnessOptions, strictnessOf, timeOf, withStrictness } from './strictness-options.ts';

interface Options extends StrictnessOptions {
  readonly proof: string;
  readonly anchors: string;
  readonly epochLeast: number;
}

export const bundleVerifyCommand = (output: Output): Command =>
  withStrictness(
    new Command('verify')
      .description('verify a validation bundle and its proof from the log as an app does; asks nobody')
      .argument('<file>', 'validation-bundle.txt')
      .requiredOption('--proof <file>', 'log-proof.txt')
      .requiredOption('--anchors <directory>', 'operator-ca.pem, witness-ca.pem and log-policy.txt as known from elsewhere')
      .option('--epoch-least <epoch>', 'the lowest epoch that is accepted', integer, 1),
    7,
  ).action((file: string, options: Options) => verify(file, options, output));

function verify(file: string, options: Options, output: Output): void {
  const { authorities, log } = readAnchors(anchorsIn(options.anchors), '');
  const { operatorsLeast, ...strict } = strictnessOf(options);
  const { epochLeast } = options;
  const policy = { authorities, log: { ...log, ...strict }, epochLeast, operatorsLeast, draining: false, remembered: undefined };
  const list = new Checklist();
  const { claimed, verified } = checkBundle(list, { smime: readInput(file), logProof: readInput(options.proof) }, policy, timeOf(options));
  const hash = claimed && toHex(claimed.hash);
  const document = {
    verdict: verified ? 'trusted' : 'refused',
    ...{ fleet: claimed?.fleet, epoch: claimed?.epoch, statement_hash: hash },
    index: verified?.index,
    tree_size: verified?.checkpoint.size,
  };
  checkResult(output, list.checks, document, `Trusted. Fleet ${claimed?.fleet}, epoch ${claimed?.epoch}, statement ${hash}.`);
}
