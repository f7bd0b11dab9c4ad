import { Command } from 'commander';
import type { ErasureResult } from '../client/erase.ts';
import { PUBLIC, writeNew } from '../fleet/produce/files.ts';
import { exactly, fromHex, toHex } from '../primitives/bytes.ts';
import { VaultError } from '../primitives/errors.ts';
import { G_LENGTH } from '../protocol/body.ts';
import { encodeReceipts } from '../protocol/receipt.ts';
import { withVault } from './open-vault.ts';
import type { Output } from './output.ts';

interface Options {
  readonly yes?: true;
  readonly receipts?: string;
  readonly generation?: string;
}

export const eraseCommand = (output: Output): Command =>
  new Command('erase')
    .description('erase a record for good: its backup key is lost unless a device still has it')
    .argument('<record>', "the account's pseudonym at its backup service")
    .option('--yes', 'do it')
    .option('--receipts <file>', 'where the signatures go by which replicas say that no seed is left; must not exist')
    .option(
      '--generation <g>',
      'this one alone, in hexadecimal: for the signatures of replicas that were away, when it was enrolled again since; or where etcd lost it',
    )
    .action(async (recordId: string, options: Options, command: Command) => {
      if (!options.yes) throw new VaultError('MALFORMED', `Nothing was done. Say --yes to erase ${recordId} for good.`);
      output.step('erasing');
      const g = options.generation && exactly(G_LENGTH, fromHex(options.generation, '--generation'), '--generation');
      const result = await withVault(command, (vault) => (g ? vault.eraseGeneration(recordId, g) : vault.erase(recordId)));
      const { statement, erased, pending, reached, proofs } = result;
      if (options.receipts) writeNew(options.receipts, encodeReceipts({ statement, receipts: [], erasures: proofs }), PUBLIC);
      output.result({ record: recordId, generation: toHex(result.g), erased, pending, reached }, inWords(recordId, result));
    });

function inWords(recordId: string, { erased, pending, reached }: ErasureResult): string {
  const lines = [`${recordId} is erased. ${erased.length} replicas signed that no seed of it is left with them: ${reached}.`];
  if (pending.length > 0)
    lines.push(`${pending.length} more serve it no longer, and sign within about an hour: erase it again then for their signatures.`);
  return lines.join('\n');
}
