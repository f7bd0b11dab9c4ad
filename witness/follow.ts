import { Command } from 'commander';
import type { Output } from '../cli/output.ts';
import { parseNoteKey } from '../fleet/log/note-key.ts';
import { loadWitnessConfig } from '../fleet/witness/config.ts';
import { CosignerMemory } from '../fleet/witness/memory.ts';
import { VaultError } from '../primitives/errors.ts';
import { directoryOf } from './open-witness.ts';

export const followCommand = (output: Output): Command =>
  new Command('follow')
    .description('cosign the checkpoints of another log from now on; the one command that makes a memory of one')
    .argument('<vkey>', "the log's key, as its witness says it")
    .action((vkey: string, _options: unknown, command: Command) => {
      const key = parseNoteKey(vkey);
      if (key.type !== 1) throw new VaultError('MALFORMED', 'This is the key of a cosigner (type 4); a log has one of type 1.');
      const directory = directoryOf(command);
      loadWitnessConfig(directory); // a witness's, and not just any directory
      new CosignerMemory(directory).follow(key);
      output.result({ log: key.name }, `Follows the log ${key.name}, from the empty tree.`);
    });
