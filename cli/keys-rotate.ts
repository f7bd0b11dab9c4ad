import { Command } from 'commander';
import { loadConfig } from '../daemon/config.ts';
import { rotateOwnKeys } from '../daemon/own-keys.ts';
import { loadProfile } from '../daemon/token/profile.ts';
import { readPin } from '../fleet/signing-token/pin-file.ts';
import { integer } from './arguments.ts';
import type { Output } from './output.ts';
import { tokenReading } from './token-reading.ts';

interface Options {
  readonly config: string;
  readonly epoch: number;
  readonly soPinFile?: string;
}

export const keysRotateCommand = (output: Output): Command =>
  new Command('rotate')
    .description('make session key, MAC key and KEKs for a coming statement, beside those in force; print the public part')
    .requiredOption('--config <file>', "the replica's configuration")
    .requiredOption('--epoch <n>', 'of that statement', integer)
    .option('--so-pin-file <file>', "the security officer's PIN; needed where the token's profile has trusted KEKs")
    .action(({ config: file, epoch, soPinFile }: Options) => {
      const config = loadConfig(file);
      const { sessionSuite } = loadProfile(config.token.profile);
      const reading = tokenReading(rotateOwnKeys(config, epoch, soPinFile === undefined ? undefined : readPin(soPinFile)), sessionSuite);
      output.result(
        reading,
        [
          `Made the keys of replica ${config.replica} for epoch ${epoch}. It uses them once it is started under the statement that names them:`,
          `session key  ${reading.session_key}`,
          `receipt key  ${reading.receipt_key} (as before)`,
        ].join('\n'),
      );
    });
