import { Command } from 'commander';
import type { Output, Streams } from '../cli/output.ts';
import { runProgram } from '../cli/run-program.ts';
import { version } from '../primitives/package-root.ts';
import { enforceCommand } from './enforce.ts';
import { initCommand } from './init.ts';
import { followCommand, serveCommand } from './serve.ts';
import { refreshCommand, submitCommand } from './submit.ts';

function makeProgram(output: Output): Command {
  const program = new Command('bkv-witness')
    .description('Witnesses fleets of a backup key vault: judges evidence, keeps a public log of statements, signs.')
    .version(version)
    .requiredOption('--dir <directory>', "the witness's directory")
    .option('--json', 'one JSON document on standard output instead of sentences')
    .configureHelp({ showGlobalOptions: true });
  for (const make of [initCommand, submitCommand, enforceCommand, refreshCommand, followCommand, serveCommand])
    program.addCommand(make(output));
  return program;
}

/** Runs the command and returns the exit code: those of bkvctl. */
export const run = (args: readonly string[], streams: Streams = process): Promise<number> =>
  runProgram('bkv-witness', makeProgram, args, streams);
