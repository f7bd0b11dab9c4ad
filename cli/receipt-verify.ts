import { Command } from 'commander';
import { loadClientFile } from '../fleet/client-file.ts';
import { toHex } from '../primitives/bytes.ts';
import { VaultError } from '../primitives/errors.ts';
import { type Erasure, parseReceipts, type Receipt, verifyErasure, verifyReceipt } from '../protocol/receipt.ts';
import type { Statement } from '../protocol/statement.ts';
import { type Destruction, destructionBy } from '../protocol/terms.ts';
import { readInput } from './arguments.ts';
import { clientFileOf } from './open-vault.ts';
import type { Output } from './output.ts';

export const receiptVerifyCommand = (output: Output): Command =>
  new Command('verify')
    .description(
      'verify receipts that `recover --receipts` or `erase --receipts` kept: statement trusted, every signature right; asks no replica',
    )
    .argument('<file>', 'the receipts')
    .action((file: string, _options: unknown, command: Command) => {
      const { statement, receipts, erasures } = parseReceipts(readInput(file).toString('utf8'));
      const statement_hash = toHex(statement.hash);
      if (!loadClientFile(clientFileOf(command)).statement_hashes.includes(statement_hash))
        throw new VaultError('FLEET_UNTRUSTED', `The client file does not trust the fleet statement ${statement_hash}.`);
      for (const receipt of receipts) verifyReceipt(statement, receipt);
      for (const erasure of erasures) verifyErasure(statement, erasure);
      const reached = reachedBy(statement, erasures);
      output.result(
        {
          statement_hash,
          receipts: receipts.map(({ replica, attempt, limit }) => ({ replica, attempt, limit })),
          erasures: erasures.map(({ replica, rid }) => ({ replica, rid })),
          reached: reached.map(({ rid, g, reached }) => ({ rid, g, reached })),
        },
        [...receipts.map(attemptInWords), ...erasures.map(erasureInWords), ...reached.map(reachedInWords)].join('\n'),
      );
    });

function attemptInWords({ replica, attempt, limit, rid, enrolled_at_ms }: Receipt): string {
  const made = new Date(enrolled_at_ms).toISOString();
  return `Replica ${replica} signed attempt ${attempt} of ${limit} on record ${rid.slice(0, 12)}, made on ${made}.`;
}

const erasureInWords = ({ replica, rid, g }: Erasure): string =>
  `Replica ${replica} signed that no seed is left of generation ${g.slice(0, 8)} of record ${rid.slice(0, 12)}.`;

interface Reached {
  readonly rid: string;
  readonly g: string;
  readonly reached: Destruction;
}

/** What follows for each generation. */
function reachedBy(statement: Statement, erasures: readonly Erasure[]): Reached[] {
  const isOf =
    ({ rid, g }: Erasure) =>
    (other: Erasure) =>
      other.rid === rid && other.g === g;
  const firsts = erasures.filter((erasure, i) => erasures.findIndex(isOf(erasure)) === i);
  return firsts.map((first) => {
    const by = erasures.filter(isOf(first)).map(({ replica }) => replica);
    return { rid: first.rid, g: first.g, reached: destructionBy(statement, new Set(by)) };
  });
}

const reachedInWords = ({ rid, g, reached }: Reached): string =>
  `So generation ${g.slice(0, 8)} of record ${rid.slice(0, 12)} is: ${reached}.`;
