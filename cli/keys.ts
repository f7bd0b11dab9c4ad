import { Command } from 'commander';
import { loadConfig } from '../daemon/config.ts';
import { destroyOwnKeys, type ListedSet, listOwnKeys, rotateOwnKeys } from '../daemon/own-keys.ts';
import { loadProfile } from '../daemon/token/profile.ts';
import { integer } from './arguments.ts';
import type { Output } from './output.ts';
import { tokenReading } from './token-reading.ts';

interface Options {
  readonly config: string;
  readonly epoch: number;
}

const keysCommand = (name: string, description: string): Command =>
  new Command(name).description(description).requiredOption('--config <file>', "the replica's configuration");

export const keysListCommand = (output: Output): Command =>
  keysCommand('list', "show the sets of keys in a replica's token, and how many stored generations still need each").action(
    async ({ config: file }: Pick<Options, 'config'>) => {
      output.step('counting');
      const config = loadConfig(file);
      const { epoch, sets, lost, guardNotRead } = await listOwnKeys(config);
      const inGuard = ({ live, prepared }: ListedSet['needed']) => `${live} live and ${prepared} prepared in the guard, `;
      const what = (needed: ListedSet['needed']) => `${guardNotRead === undefined ? inGuard(needed) : ''}${needed.etcd} in etcd`;
      const any = lost.live + lost.prepared + lost.etcd > 0;
      output.result(
        { replica: config.replica, epoch, sets, lost, ...(guardNotRead !== undefined && { guard_not_read: guardNotRead }) },
        [
          `Keys of replica ${config.replica}, whose statement is of epoch ${epoch}; and the generations that need them:`,
          ...sets.map(({ set, state, keys, needed }) => `set ${set}, ${state}, ${words[keys]}: ${what(needed)}`),
          ...(any ? [`destroyed: ${what(lost)}`] : []),
          ...(guardNotRead === undefined ? [] : [`The guard is not counted: ${guardNotRead}`]),
        ].join('\n'),
      );
    },
  );

const words = { all: 'all keys', part: 'incomplete' } as const satisfies Record<ListedSet['keys'], string>;

export const keysRotateCommand = (output: Output): Command =>
  keysCommand('rotate', 'make OPRF key, release key and MAC key for a coming statement, beside those in force; print the public part')
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

export const keysDestroyCommand = (output: Output): Command =>
  keysCommand(
    'destroy',
    'destroy every set of keys older than the one in force for an epoch, if no record needs them; the replica must not run',
  )
    .requiredOption('--epoch <n>', 'what is older than its set goes; its own set stays', integer)
    .option('--abandon <n>', 'exactly how many records this replica shall serve no more', integer, 0)
    .action(async ({ config: file, epoch, abandon }: Options & { readonly abandon: number }) => {
      output.step('looking for records that need them');
      const config = loadConfig(file);
      const { replica } = config;
      const { keystore } = loadProfile(config.token.profile);
      const sets = await destroyOwnKeys(config, { epoch, abandon });
      const destroyed = `Destroyed set ${sets.join(', ')} of replica ${replica}, and looked: they are gone.`;
      output.result(
        { replica, epoch, destroyed: sets, keystore },
        sets.length === 0
          ? `Replica ${replica} has no keys older than those of epoch ${epoch}: nothing was destroyed.`
          : `${destroyed}${keystore === 'device' ? '' : `\n${OF_FILES}`}`,
      );
    });

const OF_FILES =
  "This token keeps its keys as encrypted files on the host, and a copy of a file brings its key back. What was enrolled under these sets is closed for good once every copy of those files is destroyed, in backups and snapshots too, or the device's own master key is.";
