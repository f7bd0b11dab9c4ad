import { Command } from 'commander';
import { loadConfig } from '../daemon/config.ts';
import { rotateOwnKeys } from '../daemon/own-keys.ts';
import { integer } from './arguments.ts';
import type { Output } from './output.ts';
import { tokenReading } from './token-reading.ts';

interface Options {
  readonly config: string;
  readonly epoch: number;
}

export const keysRotateCommand = (output: Output): Command =>
  new Command('rotate')
    .description('make OPRF key, release key and MAC key for a coming statement, beside those in force; print the public part')
    .requiredOption('--config <file>', "the replica's configuration")
    .requiredOption('--epoch <n>', 'of that statement', integer)
    .action(({ config: file, epoch }: Options) => {
      const config = loadConfig(file);
      const reading = tokenReading(rotateOwnKeys(config, epoch));
      output.result(
        reading,
        [
          `Made the keys of replica ${config.replica} for epoch ${epoch}. It uses them once it is started under the statement that names them:`,
          `OPRF key     ${reading.oprf_key}`,
          `release key  ${reading.release_key}`,
          `receipt key  ${reading.receipt_key} (as before)`,
        ].join('\n'),
      );
    });
