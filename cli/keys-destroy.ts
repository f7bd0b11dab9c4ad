import { Command } from 'commander';
import { loadConfig } from '../daemon/config.ts';
import { destroyOwnKeys } from '../daemon/own-keys.ts';
import { integer } from './arguments.ts';
import type { Output } from './output.ts';

interface Options {
  readonly config: string;
  readonly epoch: number;
  readonly sessionOnly?: boolean;
  readonly abandon: number;
}

export const keysDestroyCommand = (output: Output): Command =>
  new Command('destroy')
    .description('destroy every set of keys older than the one in force for an epoch, if no record needs them; the replica must not run')
    .requiredOption('--config <file>', "the replica's configuration")
    .requiredOption('--epoch <n>', 'what is older than its set goes; its own set stays', integer)
    .option('--session-only', 'only the session keys of those sets, which no record needs')
    .option('--abandon <n>', 'exactly how many records this replica shall serve no more', integer, 0)
    .action(async ({ config: file, epoch, sessionOnly = false, abandon }: Options) => {
      output.step('looking for records that need them');
      const config = loadConfig(file);
      const sets = await destroyOwnKeys(config, { epoch, sessionOnly, abandon });
      const what = sessionOnly ? 'the session keys of ' : '';
      output.result(
        { replica: config.replica, epoch, destroyed: sets, session_only: sessionOnly },
        sets.length === 0
          ? `Replica ${config.replica} has no keys older than those of epoch ${epoch}: nothing was destroyed.`
          : `Destroyed ${what}set ${sets.join(', ')} of replica ${config.replica}, and looked: they are gone.`,
      );
    });
