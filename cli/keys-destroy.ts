import { Command } from 'commander';
import { loadConfig } from '../daemon/config.ts';
import { destroyOwnKeys } from '../daemon/own-keys.ts';
import { loadProfile, type Profile } from '../daemon/token/profile.ts';
import { integer } from './arguments.ts';
import type { Output } from './output.ts';

interface Options {
  readonly config: string;
  readonly epoch: number;
  readonly abandon: number;
}

export const keysDestroyCommand = (output: Output): Command =>
  new Command('destroy')
    .description('destroy every set of keys older than the one in force for an epoch, if no record needs them; the replica must not run')
    .requiredOption('--config <file>', "the replica's configuration")
    .requiredOption('--epoch <n>', 'what is older than its set goes; its own set stays', integer)
    .option('--abandon <n>', 'exactly how many records this replica shall serve no more', integer, 0)
    .action(async ({ config: file, epoch, abandon }: Options) => {
      output.step('looking for records that need them');
      const config = loadConfig(file);
      const { keystore } = loadProfile(config.token.profile);
      const sets = await destroyOwnKeys(config, { epoch, abandon });
      output.result({ replica: config.replica, epoch, destroyed: sets, keystore }, told(config.replica, epoch, sets, keystore));
    });

function told(replica: number, epoch: number, sets: readonly number[], keystore: Profile['keystore']): string {
  if (sets.length === 0) return `Replica ${replica} has no keys older than those of epoch ${epoch}: nothing was destroyed.`;
  const destroyed = `Destroyed set ${sets.join(', ')} of replica ${replica}, and looked: they are gone.`;
  return keystore === 'device' ? destroyed : `${destroyed}\n${OF_FILES}`;
}

const OF_FILES =
  "This token keeps its keys as encrypted files on the host, and a copy of a file brings its key back. What was enrolled under these sets is closed for good once every copy of those files is destroyed, in backups and snapshots too, or the device's own master key is.";
