import { Command } from 'commander';
import { enforceEpoch } from '../fleet/ceremony/enforce.ts';
import { PUBLIC, writeNew } from '../fleet/produce/files.ts';
import { toSeconds } from '../fleet/verify/newest.ts';
import { readInput } from './arguments.ts';
import type { Output } from './output.ts';
import { type SigningOptions, withSigner, withSigningOptions } from './signing-options.ts';
import { anchorsIn, instant, type StrictnessOptions, strictnessOf, timeOf, withStrictness } from './strictness-options.ts';

interface Options extends SigningOptions, StrictnessOptions {
  readonly refuseOlderFrom: Date;
  readonly certificate: string;
  readonly anchors: string;
  readonly out: string;
}

export const ceremonyEnforceCommand = (output: Output): Command =>
  withStrictness(
    withSigningOptions(
      new Command('enforce')
        .description("sign, as the operator, that a sealed statement's epoch is in force, for the witness to log")
        .argument('<directory>', 'the evidence')
        .requiredOption('--refuse-older-from <time>', 'when apps begin to refuse statements of older epochs (ISO 8601)', instant)
        .requiredOption('--certificate <file>', "the operator's certificate for the key")
        .requiredOption('--anchors <directory>', 'operator-ca.pem, witness-ca.pem and log-policy.txt')
        .requiredOption('--out <file>', 'where it goes; must not exist'),
    ),
    366,
  ).action((directory: string, options: Options) =>
    withSigner(options, (key) => {
      const { statement, signed } = enforceEpoch({
        ...{ directory, ...strictnessOf(options), now: timeOf(options) },
        refuseOlderFrom: options.refuseOlderFrom.getTime(),
        operator: { certificate: readInput(options.certificate).toString('utf8'), key },
        anchors: anchorsIn(options.anchors),
      });
      writeNew(options.out, signed, PUBLIC);
      const { fleet, epoch } = statement;
      const refuse_older_from = toSeconds(options.refuseOlderFrom.getTime());
      output.result(
        { fleet, epoch, refuse_older_from, file: options.out },
        `Signed that epoch ${epoch} of "${fleet}" is in force, and older ones are refused from ${refuse_older_from}. Nothing changes until the witness logs it: bkv-witness enforce ${options.out}`,
      );
    }),
  );
