import { writeFileSync } from 'node:fs';
import { Command } from 'commander';
import type { RecoveryResult } from '../client/recover.ts';
import type { Renewal } from '../client/renewal.ts';
import type { ReceiptListener, Step } from '../client/vault.ts';
import type { VaultClient } from '../client/vault-client.ts';
import { PUBLIC, writeNew } from '../fleet/produce/files.ts';
import { isVaultError } from '../primitives/errors.ts';
import { encodeReceipts, type Receipt } from '../protocol/receipt.ts';
import { blindFiles } from './blind-files.ts';
import { withNewKeyFile } from './key-file.ts';
import { steps, withVault } from './open-vault.ts';
import type { Output } from './output.ts';
import { patiently } from './patience.ts';
import { readCode } from './read-code.ts';

interface Options {
  readonly out: string;
  readonly codeFile?: string;
  readonly renew: boolean;
  readonly allowFewerHolders?: true;
  readonly receipts?: string;
  readonly anew?: true;
  readonly blinds?: string;
}

export const recoverCommand = (output: Output): Command =>
  new Command('recover')
    .description('get a backup key back with its recovery code; a wrong code costs an attempt')
    .argument('<record>', "the account's pseudonym at its backup service")
    .requiredOption('--out <file>', 'where the backup key goes; must not exist')
    .option('--code-file <file>', 'the code, one line; - is standard input (default: ask for it)')
    .option('--no-renew', 'do not enrol again afterwards: attempts that were used stay used')
    .option('--allow-fewer-holders', 'enrol again although fewer replicas would hold a share than do now')
    .option(
      '--anew',
      'give up what was sent before for this record, which costs another attempt: only for a code that got no answer from t replicas, each asked first',
    )
    .option(
      '--blinds <directory>',
      'where the blind is kept until the code was right: then the same code is the same attempt when this is run again, as a record with a hold needs it',
    )
    .option('--receipts <file>', 'where the receipts go that replicas signed for the attempt, right or wrong; must not exist')
    .action((recordId: string, options: Options, command: Command) => recover(recordId, options, command, output));

async function recover(recordId: string, options: Options, command: Command, output: Output): Promise<void> {
  const code = await readCode(options.codeFile, false);
  const device = {
    ...(options.receipts === undefined ? {} : { onReceipts: keepReceipts(options.receipts) }),
    ...(options.blinds === undefined ? {} : { blinds: blindFiles(options.blinds) }),
  };
  const recovered = await withNewKeyFile(options.out, async (write) => {
    let anew = options.anew ?? false;
    const input = () => ({
      recordId,
      code,
      renew: options.renew,
      anew,
      allowFewerHolders: options.allowFewerHolders ?? false,
      progress: (step: Step) => output.step(steps[step]),
    });
    const once = (vault: VaultClient) => {
      const given = input();
      anew = false; // what is sent again costs nothing more
      return vault.recover(given);
    };
    const result = await withVault(command, (vault) => patiently(() => once(vault)), device);
    write(result.backupKey.expose());
    result.backupKey.wipe();
    return result;
  });
  const { attempt, limit, used, attemptsElsewhere, enrolledAt, renewal } = recovered;
  output.result(
    { record: recordId, keyFile: options.out, attempt, limit, used, attemptsElsewhere, enrolledAt, renewal: told(renewal).document },
    inWords(options.out, recovered),
  );
}

/** Written as they come, so that they are there when the code was wrong, too. */
function keepReceipts(file: string): ReceiptListener {
  const kept = new Map<string, Receipt>();
  writeNew(file, '', PUBLIC);
  return (statement, receipts) => {
    for (const receipt of receipts) kept.set(`${receipt.replica} ${receipt.attempt}`, receipt);
    writeFileSync(file, encodeReceipts({ statement, receipts: [...kept.values()], erasures: [] }));
  };
}

function inWords(file: string, { attempt, limit, used, attemptsElsewhere, enrolledAt, renewal }: RecoveryResult): string {
  const lines = [
    `The backup key is in ${file}.`,
    `This was attempt ${attempt} of ${limit}. The record was made on ${new Date(enrolledAt).toISOString()}.`,
  ];
  // This command knows of no attempt but its own, so the user has to remember.
  if (attemptsElsewhere > 0) lines.push(`${attemptsElsewhere} other attempts were made. If they were not yours, somebody tried to guess.`);
  if (used.unconfirmed !== undefined) lines.push(`Fewer replicas than show it say that ${used.unconfirmed} attempts were made.`);
  return [...lines, told(renewal).words].join('\n');
}

/** For people, and for machines. */
function told(renewal: Renewal): { readonly words: string; readonly document: Readonly<Record<string, unknown>> } {
  const { state } = renewal;
  switch (state) {
    case 'renewed': {
      const { holders, replicas } = renewal.result;
      return {
        words: `Enrolled again under fresh keys with every attempt left: ${holders.length} of ${replicas} replicas hold a share.`,
        document: { state, holders, replicas },
      };
    }
    case 'unknown':
      return {
        words: 'Whether it was enrolled again is not known; the code opens it either way. Describe it to see.',
        document: { state, error: reason(renewal.error) },
      };
    case 'failed': {
      const error = reason(renewal.error);
      return { words: `It was not enrolled again, so the attempts used stay used: ${error}`, document: { state, error } };
    }
    case 'skipped':
      return { words: 'It was not enrolled again, as asked: the attempts used stay used.', document: { state } };
  }
}

const reason = (error: unknown): string => (isVaultError(error) ? `${error.message} [${error.code}]` : (error as Error).message);
