import { Command } from 'commander';
import { loadConfig } from '../daemon/config.ts';
import { rebuildOwnGuard } from '../daemon/rebuild-guard.ts';
import type { Output } from './output.ts';

export const guardRebuildCommand = (output: Output): Command =>
  new Command('rebuild')
    .description('fill a new guard with what the other replicas remember; the replica must not run, the others must')
    .requiredOption('--config <file>', "the replica's configuration")
    .action(async ({ config: file }: { readonly config: string }) => {
      output.step('asking the other replicas');
      const config = loadConfig(file);
      const { rebuilt, left } = await rebuildOwnGuard(config);
      output.result(
        { guard: config.guard, rebuilt, left },
        `Replica ${config.replica} serves ${rebuilt} records again. ${left} it does not hold: those that are not erased get it back when they are enrolled again.`,
      );
    });
