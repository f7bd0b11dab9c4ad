import { Command } from 'commander';
import { participate } from '../fleet/ceremony/participate.ts';
import { wordLines } from '../fleet/ceremony/script.ts';
import type { Output } from './output.ts';
import { type SigningOptions, withSigner, withSigningOptions } from './signing-options.ts';

interface Options extends SigningOptions {
  readonly as: string;
  readonly disagree?: true;
  readonly exception: string[];
}

export const ceremonySignCommand = (output: Output): Command =>
  withSigningOptions(
    new Command('sign')
      .description('sign statement and transcript as a participant; verifies them first')
      .argument('<directory>', 'the evidence')
      .requiredOption('--as <name>', 'the participant, as the plan has it')
      .option('--disagree', 'sign that you do not agree')
      .option(
        '--exception <text>',
        'what went otherwise than planned; may be given again',
        (text: string, before: string[]) => [...before, text],
        [],
      ),
  ).action((directory: string, options: Options) =>
    withSigner(options, (signer) => {
      const verdict = options.disagree ? 'disagree' : 'agree';
      const signed = participate({ directory, name: options.as, signer, verdict, exceptions: options.exception, now: Date.now() });
      output.result(
        signed,
        [
          `${signed.name} ${verdict === 'agree' ? 'agrees' : 'does not agree'}${signed.exceptions.length > 0 ? ', with exceptions' : ''}. Signed:`,
          `Statement   ${signed.statement}`,
          wordLines(signed.statement),
          `Transcript  ${signed.transcript}`,
          wordLines(signed.transcript),
        ].join('\n'),
      );
    }),
  );
