import { Command } from 'commander';
import { loadConfig } from '../daemon/config.ts';
import { GuardStore } from '../daemon/ledger/guard-store.ts';
import { rebuildOwnGuard } from '../daemon/rebuild-guard.ts';
import { VaultError } from '../primitives/errors.ts';
import { parseStatement } from '../protocol/statement.ts';
import { readInput } from './arguments.ts';
import type { Output } from './output.ts';

export const guardCreateCommand = (output: Output): Command =>
  new Command('create')
    .description('make an empty guard, where there is none; whatever the old one held, this replica then serves no more')
    .requiredOption('--config <file>', "the replica's configuration")
    .action(async ({ config: file }: { readonly config: string }) => {
      const config = loadConfig(file);
      const statement = parseStatement(readInput(config.statement, 'the fleet statement '));
      const replica = statement.document.replicas.find(({ index }) => index === config.replica);
      if (!replica) throw new VaultError('CONFIG_INVALID', `The fleet statement has no replica ${config.replica}.`);
      const identity = { fleet: statement.fleet, replica: config.replica, incarnation: replica.guard_incarnation };
      await GuardStore.create(config.guard, identity);
      output.result(
        { guard: config.guard, ...identity },
        `Made an empty guard for replica ${config.replica} of "${statement.fleet}" in ${config.guard}.`,
      );
    });

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
