import { Command } from 'commander';
import { loadConfig } from '../daemon/config.ts';
import { inheritOwnKeys } from '../daemon/own-heir.ts';
import { wordLines } from '../fleet/ceremony/script.ts';
import { hexHash } from '../fleet/verify/files.ts';
import { hashWords } from '../fleet/verify/words.ts';
import type { Output } from './output.ts';
import { readPublic } from './read-public.ts';

interface Options {
  readonly config: string;
  readonly bequest: string;
}

export const keysInheritCommand = (output: Output): Command =>
  new Command('inherit')
    .description('take the copies into the second token, for reading only, and try them; all of them or none')
    .requiredOption('--config <file>', 'as given to `keys heir`')
    .requiredOption('--bequest <file>', 'as `keys rotate` wrote it')
    .action(({ config: file, bequest }: Options) => {
      const config = loadConfig(file);
      const content = readPublic(bequest);
      const set = inheritOwnKeys(config, content);
      const hash = hexHash(content);
      output.result(
        { replica: config.replica, set, bequest_hash: hash, bequest_words: hashWords(hash) },
        [
          `The token reads what replica ${config.replica} stores from epoch ${set} on, until its next rotation; the key that took this in is destroyed.`,
          'Read aloud, and compare with what was read where the keys were made:',
          `Bequest  ${hash}`,
          wordLines(hash),
        ].join('\n'),
      );
    });
