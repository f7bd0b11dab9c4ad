import { Command, InvalidArgumentError } from 'commander';
import type { LogPolicy } from '../fleet/log/policy.ts';
import type { Millis } from '../primitives/brand.ts';
import { VaultError } from '../primitives/errors.ts';
import { integer } from './arguments.ts';
import { readKeys } from './log-files.ts';

export interface LogOptions {
  readonly key: string;
  readonly cosigners?: string;
  readonly cosignatures: number;
  readonly ageMost: number;
}

const HOUR: Millis = 3600 * 1000;

/** What `log verify` and `log audit` must be told to believe a checkpoint. */
export const logCommand = (name: string): Command =>
  new Command(name)
    .argument('<url>', 'where the log is served', url)
    .requiredOption('--key <file>', "the log's key (vkey), known from elsewhere")
    .requiredOption('--cosignatures <k>', 'how many other witnesses must have cosigned; 0 for none', integer)
    .option('--cosigners <file>', 'their keys, a vkey on each line')
    .option('--age-most <hours>', 'how old the checkpoint, and each cosignature that counts, may be', integer, 24 * 7);

export function policyOf({ key, cosigners, cosignatures, ageMost }: LogOptions): LogPolicy {
  const [logKey, ...more] = readKeys(key);
  if (logKey?.type !== 1 || more.length > 0) throw new VaultError('CONFIG_INVALID', `${key} does not hold the one key of a log (type 1).`);
  return {
    logKey,
    cosigners: cosigners === undefined ? [] : readKeys(cosigners),
    cosignaturesLeast: cosignatures,
    checkpointAgeMost: ageMost * HOUR,
  };
}

function url(value: string): string {
  if (!/^https?:\/\/[^\s]+$/.test(value)) throw new InvalidArgumentError('It must be http://… or https://….');
  return value;
}
