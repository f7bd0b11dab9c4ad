import { Command } from 'commander';
import { version } from '../primitives/package-root.ts';
import { bundlePublishCommand } from './bundle-publish.ts';
import { bundleVerifyCommand } from './bundle-verify.ts';
import { ceremonyCompleteCommand } from './ceremony-complete.ts';
import { ceremonyEnforceCommand } from './ceremony-enforce.ts';
import { ceremonyHoldCommand } from './ceremony-hold.ts';
import { ceremonyKeyCommand } from './ceremony-key.ts';
import { ceremonySealCommand } from './ceremony-seal.ts';
import { ceremonySignCommand } from './ceremony-sign.ts';
import { approveCommand, vetoCommand } from './decide.ts';
import { describeCommand } from './describe.ts';
import { enrollCommand } from './enroll.ts';
import { eraseCommand } from './erase.ts';
import { evidenceVerifyCommand } from './evidence-verify.ts';
import { exitCodes } from './exit-codes.ts';
import { fleetInitCommand } from './fleet-init.ts';
import { fleetRestateCommand } from './fleet-restate.ts';
import { fleetStatusCommand } from './fleet-status.ts';
import { guardCreateCommand, guardRebuildCommand } from './guard.ts';
import { hsmProbeCommand } from './hsm-probe.ts';
import { keysDestroyCommand, keysListCommand, keysRotateCommand } from './keys.ts';
import { listPutCommand, listShowCommand } from './list.ts';
import { logAuditCommand, logProveCommand, logVerifyCommand } from './log.ts';
import type { Output, Streams } from './output.ts';
import { receiptVerifyCommand } from './receipt-verify.ts';
import { recoverCommand } from './recover.ts';
import { replicaProvisionCommand } from './replica-provision.ts';
import { runProgram } from './run-program.ts';

const exitCodeHelp = `
Exit codes: ${exitCodes.OK} done, ${exitCodes.INTERNAL} fault of the software, ${exitCodes.USAGE} wrong arguments or code form, ${exitCodes.WRONG_CODE} wrong code, ${exitCodes.GONE} exhausted or erased, ${exitCodes.TRY_AGAIN} not known or not yet: try again,
${exitCodes.UNAVAILABLE} too few replicas or no store, ${exitCodes.UNTRUSTED} not trusted, ${exitCodes.REFUSED} not allowed, ${exitCodes.CONFIGURATION} configuration, ${exitCodes.RECORD_STATE} no such record or another state, ${exitCodes.HELD} held,
19 and above: which check of a bundle, of evidence or of a log failed (docs/AUDIT.md).`;

type Maker = (output: Output) => Command;

function makeProgram(output: Output): Command {
  const program = new Command('bkvctl')
    .description('Drives a backup key vault: makes a development fleet, enrols and recovers backup keys, shows what is there.')
    .version(version)
    .option('--client <file>', 'fleet, certificates and grant key to use', process.env.BKV_CLIENT || 'client.json')
    .option('--json', 'one JSON document on standard output instead of sentences')
    .configureHelp({ showGlobalOptions: true })
    .addHelpText('after', exitCodeHelp);

  const add = (to: Command, ...makers: Maker[]) => makers.reduce((parent, make) => parent.addCommand(make(output)), to);
  const group = (name: string, description: string, ...makers: Maker[]) =>
    program.addCommand(add(new Command(name).description(description), ...makers));

  group('fleet', 'a fleet of replicas', fleetInitCommand, fleetStatusCommand, fleetRestateCommand);
  add(program, enrollCommand, recoverCommand, describeCommand, vetoCommand, approveCommand, eraseCommand);
  group('list', 'what the owner keeps beside a record', listShowCommand, listPutCommand);
  group('guard', "a replica's own store of what it may serve", guardCreateCommand, guardRebuildCommand);
  group('keys', "the keys in a replica's token: rotation, and the end of old ones", keysListCommand, keysRotateCommand, keysDestroyCommand);
  group('hsm', 'tokens, before they are part of a fleet', hsmProbeCommand);
  group('log', "a witness's public log of fleet statements", logVerifyCommand, logAuditCommand, logProveCommand);
  group('receipt', 'what replicas signed of an attempt', receiptVerifyCommand);
  const ceremony = new Command('ceremony')
    .description('the making of a fleet before witnesses; `ceremony PLAN --out DIRECTORY` holds one')
    .addCommand(ceremonyHoldCommand(output), { isDefault: true });
  program.addCommand(
    add(ceremony, ceremonyKeyCommand, ceremonySignCommand, ceremonySealCommand, ceremonyEnforceCommand, ceremonyCompleteCommand),
  );
  group('evidence', 'what a ceremony left', evidenceVerifyCommand);
  group('bundle', 'what a vault sends to apps', bundleVerifyCommand, bundlePublishCommand);
  program.addCommand(add(new Command('replica').description('one replica'), replicaProvisionCommand), { hidden: true });

  return program;
}

/** Runs the command and returns the exit code. */
export const run = (args: readonly string[], streams: Streams = process): Promise<number> =>
  runProgram('bkvctl', makeProgram, args, streams);
