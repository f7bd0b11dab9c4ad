import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import type { Output } from '../cli/output.ts';
import { readEvidence } from '../fleet/ceremony/read-evidence.ts';
import { writeDurably } from '../fleet/witness/durable-file.ts';
import { submit } from '../fleet/witness/witness.ts';
import { toHex, utf8 } from '../primitives/bytes.ts';
import { directoryOf, withWitness } from './open-witness.ts';
import { tellMissing } from './tell-missing.ts';

export const submitCommand = (output: Output): Command =>
  new Command('submit')
    .description('judge evidence, put its statement into the log, sign it; the same again makes a fresh proof and no second entry')
    .argument('<evidence>', "the ceremony's directory")
    .requiredOption('--out <directory>', 'where witnessed.txt and log-proof.txt go, for the operator; they are replaced')
    .action(async (evidence: string, { out }: { readonly out: string }, command: Command) => {
      output.step('verifying the evidence');
      const files = readEvidence(evidence);
      const done = await withWitness(directoryOf(command), ({ options }) => submit(files, options));
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
