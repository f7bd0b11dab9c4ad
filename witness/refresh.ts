import { Command } from 'commander';
import type { Output } from '../cli/output.ts';
import { refresh } from '../fleet/witness/witness.ts';
import { directoryOf, withWitness } from './open-witness.ts';
import { tellMissing } from './tell-missing.ts';

export const refreshCommand = (output: Output): Command =>
  new Command('refresh')
    .description('sign the checkpoint again with the present time, and have it cosigned: clients take none that is old')
    .action(async (_options: unknown, command: Command) => {
      const { size, missing } = await withWitness(directoryOf(command), ({ options }) => refresh(options));
      output.result({ size, missing }, [`Signed the log of ${size} entries again.`, ...tellMissing(missing)].join('\n'));
    });
