import { type Command, CommanderError } from 'commander';
import { Output, type Streams } from './output.ts';

/** Runs one command of a program and returns the exit code. Help goes to stdout; what is wrong is said once, by `Output`. */
export async function runProgram(
  name: string,
  make: (output: Output) => Command,
  args: readonly string[],
  streams: Streams,
): Promise<number> {
  const output = new Output(name, args.includes('--json'), streams); // known before the arguments are found to be wrong
  try {
    const program = make(output);
    for (const command of everyCommand(program)) silence(command, streams);
    await program.parseAsync(args, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) output.failure(error);
    else if (error.code === 'commander.help') output.usage('A command is missing.');
    else if (error.exitCode !== 0) output.usage(error.message.replace(/^error: /, ''));
  }
  return output.exitCode;
}

function silence(command: Command, { stdout }: Streams): void {
  command.exitOverride();
  command.configureOutput({
    writeOut: (text) => stdout.write(text),
    getOutHelpWidth: () => stdout.columns || 80,
    outputError: () => {}, // said once, by runProgram
    writeErr: () => {},
  });
}

const everyCommand = (command: Command): Command[] => [command, ...command.commands.flatMap(everyCommand)];
