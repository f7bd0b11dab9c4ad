import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { readInput } from '../cli/arguments.ts';
import type { Output } from '../cli/output.ts';
import { toSeconds } from '../fleet/verify/newest.ts';
import { writeDurably } from '../fleet/witness/durable-file.ts';
import { enforce } from '../fleet/witness/witness.ts';
import { directoryOf, withWitness } from './open-witness.ts';
import { tellMissing } from './submit.ts';

export const enforceCommand = (output: Output): Command =>
  new Command('enforce')
    .description('put an epoch in force: log what its operator signed; from then on every checkpoint names it')
    .argument('<file>', 'as `bkvctl ceremony enforce` made it')
    .requiredOption('--out <directory>', 'where in-force-proof.txt and a fresh log-proof.txt go; they are replaced')
    .action(async (file: string, { out }: { readonly out: string }, command: Command) => {
      const entry = new Uint8Array(readInput(file));
      const done = await withWitness(directoryOf(command), ({ options, operators }) => enforce(entry, operators, options));
      mkdirSync(out, { recursive: true });
      writeDurably(join(out, 'in-force-proof.txt'), done.proof);
      writeDurably(join(out, 'log-proof.txt'), done.statementProof);
      const { fleet, epoch, refuseOlderFrom } = done.inForce;
      const refuse_older_from = toSeconds(refuseOlderFrom);
      output.result(
        { fleet, epoch, refuse_older_from, index: done.index, new: done.isNew, size: done.size, missing: done.missing },
        [
          `${done.isNew ? 'Logged' : 'Found'} as entry ${done.index} that epoch ${epoch} of "${fleet}" is in force; older ones are refused from ${refuse_older_from}.`,
          `For the operator, in ${out}: in-force-proof.txt, log-proof.txt`,
          ...tellMissing(done.missing),
        ].join('\n'),
      );
    });
