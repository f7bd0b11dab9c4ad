import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import type { Output } from '../cli/output.ts';
import { readEvidence } from '../fleet/ceremony/read-evidence.ts';
import { writeDurably } from '../fleet/witness/durable-file.ts';
import { submit } from '../fleet/witness/witness.ts';
import { toHex, utf8 } from '../primitives/bytes.ts';
import { directoryOf, withWitness } from './open-witness.ts';
import { tellMissing } from './tell-missing.ts';

interface Options {
  readonly out: string;
  readonly statement: string;
  readonly rehearsal?: boolean;
}

export const submitCommand = (output: Output): Command =>
  new Command('submit')
    .description('judge evidence, put its statement into the log, sign it; the same again makes a fresh proof and no second entry')
    .argument('<evidence>', "the ceremony's directory")
    .requiredOption('--out <directory>', 'where witnessed.txt and log-proof.txt go, for the operator; they are replaced')
    .requiredOption('--statement <hash>', "the statement's hash as it was read aloud in the room, in hexadecimal", parseStatementHash)
    .option('--rehearsal', 'sign a rehearsal, too')
    .action(async (evidence: string, { out, statement, rehearsal = false }: Options, command: Command) => {
      output.step('verifying the evidence');
      const files = readEvidence(evidence);
      const done = await withWitness(directoryOf(command), ({ options, judgement }) =>
        submit(files, { ...options, judgement: judgement({ statement, rehearsal }) }),
      );
      mkdirSync(out, { recursive: true });
      writeDurably(join(out, 'witnessed.txt'), utf8(done.bundle));
      writeDurably(join(out, 'log-proof.txt'), done.proof);
      const { fleet, epoch, hash } = done.statement;
      output.result(
        { fleet, epoch, statement_hash: toHex(hash), index: done.index, new: done.isNew, size: done.size, missing: done.missing },
        [
          `${done.isNew ? 'Put' : 'Found'} epoch ${epoch} of "${fleet}" as entry ${done.index} of the log, and signed it.`,
          `For the operator to sign over, in ${out}: witnessed.txt, log-proof.txt`,
          ...tellMissing(done.missing),
        ].join('\n'),
      );
    });

/** As people write it down: in groups, or in capitals. */
function parseStatementHash(text: string): string {
  const hash = text.replaceAll(/\s/g, '').toLowerCase();
  if (!/^[0-9a-f]{64}$/.test(hash))
    throw new InvalidArgumentError('It has 64 hexadecimal digits: `bkvctl ceremony` printed it for the room.');
  return hash;
}
