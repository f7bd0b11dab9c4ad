import { join, resolve } from 'node:path';
import { Command } from 'commander';
import { complete } from '../fleet/ceremony/complete.ts';
import { pageTemplate } from '../fleet/produce/page.ts';
import { IN_FORCE_PROOF } from '../fleet/verify/enforcement.ts';
import { toHex } from '../primitives/bytes.ts';
import { readInput } from './arguments.ts';
import type { Output } from './output.ts';
import { anchorsIn, type StrictnessOptions, strictnessOf, timeOf, withStrictness } from './strictness-options.ts';

interface Options extends StrictnessOptions {
  readonly inForce: string;
  readonly proofs: string;
  readonly anchors: string;
}

export const ceremonyCompleteCommand = (output: Output): Command =>
  withStrictness(
    new Command('complete')
      .description('add to sealed evidence that its epoch is in force, and make its page again')
      .argument('<directory>', 'the evidence')
      .requiredOption('--in-force <file>', 'what the operator signed')
      .requiredOption('--proofs <directory>', 'in-force-proof.txt and log-proof.txt, as the witness gave them back')
      .requiredOption('--anchors <directory>', 'operator-ca.pem, witness-ca.pem and log-policy.txt'),
    1,
  ).action((directory: string, options: Options) => {
    const bytes = (file: string) => new Uint8Array(readInput(file));
    const { statement } = complete({
      ...{ directory, ...strictnessOf(options), now: timeOf(options) },
      inForce: bytes(options.inForce),
      inForceProof: bytes(join(options.proofs, IN_FORCE_PROOF)),
      logProof: bytes(join(options.proofs, 'log-proof.txt')),
      anchors: anchorsIn(options.anchors),
      template: pageTemplate(),
    });
    output.result(
      { directory: resolve(directory), epoch: statement?.epoch, statement_hash: statement && toHex(statement.hash) },
      `The evidence shows that epoch ${statement?.epoch} is in force. Host the directory.`,
    );
  });
