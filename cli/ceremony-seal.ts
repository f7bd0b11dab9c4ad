import { join, resolve } from 'node:path';
import { Command } from 'commander';
import { seal } from '../fleet/ceremony/seal.ts';
import { pageTemplate } from '../fleet/produce/page.ts';
import { toHex } from '../primitives/bytes.ts';
import { readInput } from './arguments.ts';
import type { Output } from './output.ts';
import { type SigningOptions, withSigner, withSigningOptions } from './signing-options.ts';
import { anchorsIn, type StrictnessOptions, strictnessOf, timeOf, withStrictness } from './strictness-options.ts';

interface Options extends SigningOptions, StrictnessOptions {
  readonly witnessed: string;
  readonly proof: string;
  readonly certificate: string;
  readonly anchors: string;
}

export const ceremonySealCommand = (output: Output): Command =>
  withStrictness(
    withSigningOptions(
      new Command('seal')
        .description("sign over the witness's signature as the operator, and complete the evidence with its page")
        .argument('<directory>', 'the evidence')
        .requiredOption('--witnessed <file>', 'the statement as the witness signed it: S/MIME')
        .requiredOption('--proof <file>', "the proof from the witness's log")
        .requiredOption('--certificate <file>', "the operator's certificate for the key")
        .requiredOption('--anchors <directory>', 'operator-ca.pem, witness-ca.pem and log-policy.txt'),
    ),
    1,
  ).action((directory: string, options: Options) =>
    withSigner(options, (key) => {
      const { statement } = seal({
        ...{ directory, ...strictnessOf(options), now: timeOf(options) },
        witnessed: readInput(options.witnessed).toString('latin1'),
        logProof: readInput(options.proof),
        operator: { certificate: readInput(options.certificate).toString('utf8'), key },
        anchors: anchorsIn(options.anchors),
        template: pageTemplate(),
      });
      output.result(
        { directory: resolve(directory), epoch: statement?.epoch, statement_hash: statement && toHex(statement.hash) },
        `The evidence is complete. Open ${join(resolve(directory), 'index.html')}, or host the directory.`,
      );
    }),
  );
