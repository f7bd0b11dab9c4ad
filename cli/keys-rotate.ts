import { Command } from 'commander';
import { loadConfig } from '../daemon/config.ts';
import { rotateOwnKeys, type Will } from '../daemon/own-keys.ts';
import { loadProfile } from '../daemon/token/profile.ts';
import { wordLines } from '../fleet/ceremony/script.ts';
import { SECRET, writeNew } from '../fleet/produce/files.ts';
import { readPin } from '../fleet/signing-token/pin-file.ts';
import { hexHash } from '../fleet/verify/files.ts';
import { VaultError } from '../primitives/errors.ts';
import { integer } from './arguments.ts';
import type { Output } from './output.ts';
import { readPublic } from './read-public.ts';
import { tokenReading } from './token-reading.ts';

interface Options {
  readonly config: string;
  readonly epoch: number;
  readonly soPinFile?: string;
  readonly heir?: string;
  readonly bequest?: string;
}

export const keysRotateCommand = (output: Output): Command =>
  new Command('rotate')
    .description('make session key, MAC key and KEKs for a coming statement, beside those in force; print the public part')
    .requiredOption('--config <file>', "the replica's configuration")
    .requiredOption('--epoch <n>', 'of that statement', integer)
    .option('--so-pin-file <file>', "the security officer's PIN; needed where the token's profile has trusted KEKs")
    .option('--heir <file>', 'as `keys heir` wrote it: that token gets copies of MAC key and KEKs, which can be given to it now or never')
    .option('--bequest <file>', 'where the copies go, wrapped for the heir; must not exist')
    .action(({ config: file, epoch, soPinFile, heir, bequest }: Options) => {
      const config = loadConfig(file);
      const { sessionSuite } = loadProfile(config.token.profile);
      const will = willOf(heir, bequest);
      const made = rotateOwnKeys(config, epoch, soPinFile === undefined ? undefined : readPin(soPinFile), will);
      const reading = tokenReading(made, sessionSuite);
      output.result(
        reading,
        [
          `Made the keys of replica ${config.replica} for epoch ${epoch}. It uses them once it is started under the statement that names them:`,
          `session key  ${reading.session_key}`,
          `receipt key  ${reading.receipt_key} (as before)`,
          ...(will && bequest !== undefined ? toReadAloud(will.heir, readPublic(bequest)) : []),
        ].join('\n'),
      );
    });

function willOf(heir: string | undefined, bequest: string | undefined): Will | undefined {
  if (heir === undefined && bequest === undefined) return undefined;
  if (heir === undefined || bequest === undefined)
    throw new VaultError('CONFIG_INVALID', 'Copies for a second token take both: --heir FILE and --bequest FILE.');
  return { heir: readPublic(heir), write: (content) => writeNew(bequest, content, SECRET) }; // with the use of the heir’s token it opens what is stored
}

const toReadAloud = (heir: Uint8Array, bequest: Uint8Array): string[] => [
  'A second token was given copies. Read aloud; the first must be what was read at that token. If not, destroy this set:',
  ...[
    ['Heir   ', heir],
    ['Bequest', bequest],
  ].flatMap(([what, file]) => [`${what}  ${hexHash(file as Uint8Array)}`, wordLines(hexHash(file as Uint8Array))]),
];
