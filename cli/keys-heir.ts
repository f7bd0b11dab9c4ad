import { Command } from 'commander';
import { loadConfig } from '../daemon/config.ts';
import { giveUpOwnHeir, makeOwnHeir } from '../daemon/own-heir.ts';
import { wordLines } from '../fleet/ceremony/script.ts';
import { PUBLIC, writeNew } from '../fleet/produce/files.ts';
import { readPin } from '../fleet/signing-token/pin-file.ts';
import { hexHash } from '../fleet/verify/files.ts';
import { hashWords } from '../fleet/verify/words.ts';
import { VaultError } from '../primitives/errors.ts';
import type { Output } from './output.ts';

interface Options {
  readonly config: string;
  readonly fleet: string;
  readonly out?: string;
  readonly initToken?: true;
  readonly soPinFile?: string;
  readonly giveUp?: true;
}

export const keysHeirCommand = (output: Output): Command =>
  new Command('heir')
    .description('have a second token wait for copies of the keys that the replica’s next rotation makes')
    .requiredOption('--config <file>', 'the configuration with which the replica would serve from that token')
    .requiredOption('--fleet <name>', 'its fleet')
    .option('--out <file>', 'what the token writes of itself, for `keys rotate --heir`; must not exist')
    .option('--init-token', 'initialise a blank token first, with --so-pin-file')
    .option('--so-pin-file <file>', 'the PIN that its security officer gets')
    .option('--give-up', 'wait no more: destroy the key that would have taken the copies in')
    .action(({ config: file, ...options }: Options) => {
      const config = loadConfig(file);
      if (options.giveUp) {
        giveUpOwnHeir(config, options.fleet);
        return output.result(
          { replica: config.replica, waits: false },
          'The token waits no more. What was wrapped for it is opened by nobody.',
        );
      }
      const { out, soPinFile } = options;
      if (out === undefined) throw new VaultError('CONFIG_INVALID', 'Say where the token writes of itself: --out FILE.');
      if (options.initToken && soPinFile === undefined)
        throw new VaultError('CONFIG_INVALID', 'A token is initialised with the security officer’s PIN: give --so-pin-file.');
      const blank = options.initToken && soPinFile !== undefined ? { soPin: readPin(soPinFile) } : undefined;
      const heir = makeOwnHeir(config, options.fleet, blank);
      writeNew(out, heir, PUBLIC);
      const hash = hexHash(heir);
      output.result(
        { replica: config.replica, heir: out, heir_hash: hash, heir_words: hashWords(hash) },
        [
          `The token waits for the keys of replica ${config.replica} of ${options.fleet}. Read aloud, and compare where they are made:`,
          `Heir  ${hash}`,
          wordLines(hash),
          `Then, with ${out}: bkvctl keys rotate --heir.`,
        ].join('\n'),
      );
    });
