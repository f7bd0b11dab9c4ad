import { join } from 'node:path';
import { type Command, InvalidArgumentError } from 'commander';
import { anchorFiles, type Strictness } from '../fleet/verify/anchors.ts';
import type { EvidenceFiles } from '../fleet/verify/files.ts';
import { integer, readInput } from './arguments.ts';

const DAY = 24 * 3600 * 1000;

/** How strict a verification is about log and fleet, and at which time it asks. */
export interface StrictnessOptions {
  readonly checkpointAge: number;
  readonly operatorsLeast: number;
  readonly at?: Date;
}

/** `days` is how old the checkpoint may be without the option. */
export const withStrictness = (command: Command, days: number): Command =>
  command
    .option('--checkpoint-age <days>', 'how old the checkpoint may be', integer, days)
    .option('--operators-least <k>', 'of how many different operators any t replicas must be', integer, 1)
    .option('--at <time>', 'judge as of then instead of now (ISO 8601)', instant);

export const strictnessOf = ({ checkpointAge, operatorsLeast }: StrictnessOptions): Strictness => ({
  checkpointAgeMost: checkpointAge * DAY,
  operatorsLeast,
});

export const timeOf = ({ at }: StrictnessOptions): number => (at ? at.getTime() : Date.now());

/** The files of a directory of anchors. Throws CONFIG_INVALID when one is missing. */
export function anchorsIn(directory: string): EvidenceFiles {
  return new Map(anchorFiles.map((name) => [name, readInput(join(directory, name))]));
}

export function instant(text: string): Date {
  const time = new Date(text);
  if (Number.isNaN(time.getTime())) throw new InvalidArgumentError('It must be a time such as 2026-11-21T12:00:00Z.');
  return time;
}
