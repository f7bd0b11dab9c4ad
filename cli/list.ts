import { Command } from 'commander';
import { PUBLIC, writeNew } from '../fleet/produce/files.ts';
import { toHex } from '../primitives/bytes.ts';
import { readInput } from './arguments.ts';
import { readKeyFile } from './key-file.ts';
import { withVault } from './open-vault.ts';
import type { Output } from './output.ts';

export const listShowCommand = (output: Output): Command =>
  new Command('show')
    .description('show what the owner keeps beside a record; needs no code and spends nothing')
    .argument('<record>', "the account's pseudonym at its backup service")
    .option('--out <file>', 'where its content goes; must not exist')
    .action(async (recordId: string, { out }: { readonly out?: string }, command: Command) => {
      output.step('asking for the list');
      const { list, ownerKey } = await withVault(command, (vault) => vault.list(recordId));
      if (list && out !== undefined) writeNew(out, list.content, PUBLIC);
      const about = list ? { counter: Number(list.counter), bytes: list.content.length } : { counter: 0, bytes: 0 };
      output.result(
        { record: recordId, ownerKey: toHex(ownerKey), ...about },
        list
          ? `List number ${about.counter}, ${about.bytes} bytes${out === undefined ? '' : `: in ${out}`}.`
          : 'Nothing lies beside the record.',
      );
    });

export const listPutCommand = (output: Output): Command =>
  new Command('put')
    .description('put a list beside a record, in the place of the one that is there: at most 8 KiB, which replicas do not read')
    .argument('<record>', "the account's pseudonym at its backup service")
    .requiredOption('--key <file>', 'the backup key, which shows that you are the owner')
    .requiredOption('--content <file>', 'what is kept')
    .action(async (recordId: string, options: { readonly key: string; readonly content: string }, command: Command) => {
      const content = readInput(options.content, 'the list ');
      const backupKey = readKeyFile(options.key);
      output.step('storing');
      const [counter, holders] = await withVault(command, async (vault) => {
        const { list } = await vault.list(recordId, backupKey);
        const next = (list?.counter ?? 0n) + 1n;
        return [next, await vault.putList({ recordId, backupKey, content, counter: next })] as const;
      });
      backupKey.wipe();
      output.result({ record: recordId, counter: Number(counter), holders }, `${holders.length} replicas keep list number ${counter}.`);
    });
