import { Command } from 'commander';
import { VaultError } from '../primitives/errors.ts';
import { withVault } from './open-vault.ts';
import type { Output } from './output.ts';

export const eraseCommand = (output: Output): Command =>
  new Command('erase')
    .description('replace a record by a tombstone: its backup key is lost unless a device still has it')
    .argument('<record>', "the account's pseudonym at its backup service")
    .option('--yes', 'do it')
    .action(async (recordId: string, options: { readonly yes?: true }, command: Command) => {
      if (!options.yes) throw new VaultError('MALFORMED', `Nothing was done. Say --yes to erase ${recordId} for good.`);
      output.step('erasing');
      const forgotten = await withVault(command, (vault) => vault.erase(recordId));
      output.result(
        { record: recordId, forgotten },
        `${recordId} is erased. ${forgotten.length} replicas dropped it at once; the others do when they are back.`,
      );
    });
