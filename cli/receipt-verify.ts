import { Command } from 'commander';
import { loadClientFile } from '../fleet/client-file.ts';
import { toHex } from '../primitives/bytes.ts';
import { VaultError } from '../primitives/errors.ts';
import { parseReceipts, type Receipt, verifyReceipt } from '../protocol/receipt.ts';
import { readInput } from './arguments.ts';
import { clientFileOf } from './open-vault.ts';
import type { Output } from './output.ts';

export const receiptVerifyCommand = (output: Output): Command =>
  new Command('verify')
    .description('verify receipts that `recover --receipts` kept: statement trusted, every signature right; asks no replica')
    .argument('<file>', 'the receipts')
    .action((file: string, _options: unknown, command: Command) => {
      const { statement, receipts } = parseReceipts(readInput(file).toString('utf8'));
      const statement_hash = toHex(statement.hash);
      if (!loadClientFile(clientFileOf(command)).statement_hashes.includes(statement_hash))
        throw new VaultError('FLEET_UNTRUSTED', `The client file does not trust the fleet statement ${statement_hash}.`);
      for (const receipt of receipts) verifyReceipt(statement, receipt);
      output.result(
        { statement_hash, receipts: receipts.map(({ replica, attempt, limit }) => ({ replica, attempt, limit })) },
        inWords(receipts),
      );
    });

const inWords = (receipts: readonly Receipt[]): string =>
  receipts
    .map(({ replica, attempt, limit, rid, enrolled_at_ms }) => {
      const made = new Date(enrolled_at_ms).toISOString();
      return `Replica ${replica} signed attempt ${attempt} of ${limit} on record ${rid.slice(0, 12)}, made on ${made}.`;
    })
    .join('\n');
