import { Command, CommanderError } from 'commander';
import { version } from '../primitives/package-root.ts';
import { describeCommand } from './describe.ts';
import { enrollCommand } from './enroll.ts';
import { eraseCommand } from './erase.ts';
import { exitCodes } from './exit-codes.ts';
import { fleetInitCommand } from './fleet-init.ts';
import { fleetRestateCommand } from './fleet-restate.ts';
import { fleetStatusCommand } from './fleet-status.ts';
import { guardCreateCommand } from './guard-create.ts';
import { guardRebuildCommand } from './guard-rebuild.ts';
import { hsmProbeCommand } from './hsm-probe.ts';
import { Output, type Streams } from './output.ts';
import { receiptVerifyCommand } from './receipt-verify.ts';
import { recoverCommand } from './recover.ts';
import { replicaProvisionCommand } from './replica-provision.ts';

const exitCodeHelp = `
Exit codes: ${exitCodes.OK} done, ${exitCodes.INTERNAL} fault of the software, ${exitCodes.USAGE} wrong arguments or code form, ${exitCodes.WRONG_CODE} wrong code, ${exitCodes.GONE} exhausted or erased, ${exitCodes.TRY_AGAIN} not known or not yet: try again,
${exitCodes.UNAVAILABLE} too few replicas or no store, ${exitCodes.UNTRUSTED} not trusted, ${exitCodes.REFUSED} not allowed, ${exitCodes.CONFIGURATION} configuration, ${exitCodes.RECORD_STATE} no such record or another state.`;

function makeProgram(output: Output, { stdout }: Streams): Command {
  const program = new Command('bkvctl')
    .description('Drives a backup key vault: makes a development fleet, enrols and recovers backup keys, shows what is there.')
    .version(version)
    .option('--client <file>', 'fleet, certificates and grant key to use', process.env.BKV_CLIENT || 'client.json')
    .option('--json', 'one JSON document on standard output instead of sentences')
    .configureHelp({ showGlobalOptions: true })
    .addHelpText('after', exitCodeHelp);

  program.addCommand(
    group('fleet', 'a fleet of replicas')
      .addCommand(fleetInitCommand(output))
      .addCommand(fleetStatusCommand(output))
      .addCommand(fleetRestateCommand(output)),
  );
  for (const make of [enrollCommand, recoverCommand, describeCommand, eraseCommand]) program.addCommand(make(output));
  program.addCommand(
    group('guard', "a replica's own store of what it may serve")
      .addCommand(guardCreateCommand(output))
      .addCommand(guardRebuildCommand(output)),
  );
  program.addCommand(group('hsm', 'tokens, before they are part of a fleet').addCommand(hsmProbeCommand(output)));
  program.addCommand(group('receipt', 'what replicas signed of an attempt').addCommand(receiptVerifyCommand(output)));
  program.addCommand(group('replica', 'one replica').addCommand(replicaProvisionCommand(output)), { hidden: true });

  for (const command of everyCommand(program)) {
    command.exitOverride();
    command.configureOutput({
      writeOut: (text) => stdout.write(text),
      getOutHelpWidth: () => stdout.columns || 80,
      outputError: () => {}, // said once, by run()
      writeErr: () => {},
    });
  }
  return program;
}

const group = (name: string, description: string): Command => new Command(name).description(description);

const everyCommand = (command: Command): Command[] => [command, ...command.commands.flatMap(everyCommand)];

/** Runs the command and returns the exit code. */
export async function run(args: readonly string[], streams: Streams = process): Promise<number> {
  const output = new Output(args.includes('--json'), streams); // known before the arguments are found to be wrong
  try {
    await makeProgram(output, streams).parseAsync(args, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) output.failure(error);
    else if (error.code === 'commander.help') output.usage('A command is missing.');
    else if (error.exitCode !== 0) output.usage(error.message.replace(/^error: /, ''));
  }
  return output.exitCode;
}
