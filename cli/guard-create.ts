import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { loadConfig } from '../daemon/config.ts';
import { GuardStore } from '../daemon/ledger/guard-store.ts';
import { VaultError } from '../primitives/errors.ts';
import { parseStatement, type Statement } from '../protocol/statement.ts';
import type { Output } from './output.ts';

export const guardCreateCommand = (output: Output): Command =>
  new Command('create')
    .description('make an empty guard, where there is none; whatever the old one held, this replica then serves no more')
    .requiredOption('--config <file>', "the replica's configuration")
    .action(async ({ config: file }: { readonly config: string }) => {
      const config = loadConfig(file);
      const statement = readStatement(config.statement);
      const replica = statement.document.replicas[config.replica - 1];
      if (!replica) throw new VaultError('CONFIG_INVALID', `The fleet statement has no replica ${config.replica}.`);
      const identity = { fleet: statement.fleet, replica: config.replica, incarnation: replica.guard_incarnation };
      await GuardStore.create(config.guard, identity);
      output.result(
        { guard: config.guard, ...identity },
        `Made an empty guard for replica ${config.replica} of "${statement.fleet}" in ${config.guard}.`,
      );
    });

function readStatement(file: string): Statement {
  try {
    return parseStatement(readFileSync(file));
  } catch (cause) {
    if (cause instanceof VaultError) throw cause;
    throw new VaultError('CONFIG_INVALID', `Cannot read the fleet statement ${file}: ${(cause as Error).message}`, { cause });
  }
}
