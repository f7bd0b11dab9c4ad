import { Command } from 'commander';
import { version } from '../primitives/package-root.ts';
import { bundlePublishCommand } from './bundle-publish.ts';
import { bundleVerifyCommand } from './bundle-verify.ts';
import { ceremonyHoldCommand } from './ceremony-hold.ts';
import { ceremonyKeyCommand } from './ceremony-key.ts';
import { ceremonySealCommand } from './ceremony-seal.ts';
import { ceremonySignCommand } from './ceremony-sign.ts';
import { describeCommand } from './describe.ts';
import { enrollCommand } from './enroll.ts';
import { eraseCommand } from './erase.ts';
import { evidenceVerifyCommand } from './evidence-verify.ts';
import { exitCodes } from './exit-codes.ts';
import { fleetInitCommand } from './fleet-init.ts';
import { fleetRestateCommand } from './fleet-restate.ts';
import { fleetStatusCommand } from './fleet-status.ts';
import { guardCreateCommand } from './guard-create.ts';
import { guardRebuildCommand } from './guard-rebuild.ts';
import { hsmProbeCommand } from './hsm-probe.ts';
import { keysDestroyCommand } from './keys-destroy.ts';
import { keysListCommand } from './keys-list.ts';
import { keysRotateCommand } from './keys-rotate.ts';
import { logAuditCommand } from './log-audit.ts';
import { logProveCommand } from './log-prove.ts';
import { logVerifyCommand } from './log-verify.ts';
import type { Output, Streams } from './output.ts';
import { receiptVerifyCommand } from './receipt-verify.ts';
import { recoverCommand } from './recover.ts';
import { replicaProvisionCommand } from './replica-provision.ts';
import { runProgram } from './run-program.ts';

const exitCodeHelp = `
Exit codes: ${exitCodes.OK} done, ${exitCodes.INTERNAL} fault of the software, ${exitCodes.USAGE} wrong arguments or code form, ${exitCodes.WRONG_CODE} wrong code, ${exitCodes.GONE} exhausted or erased, ${exitCodes.TRY_AGAIN} not known or not yet: try again,
${exitCodes.UNAVAILABLE} too few replicas or no store, ${exitCodes.UNTRUSTED} not trusted, ${exitCodes.REFUSED} not allowed, ${exitCodes.CONFIGURATION} configuration, ${exitCodes.RECORD_STATE} no such record or another state,
19 and above: which check of a bundle, of evidence or of a log failed (docs/AUDIT.md).`;

function makeProgram(output: Output): Command {
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
  program.addCommand(
    group('keys', "the keys in a replica's token: rotation, and the end of old ones")
      .addCommand(keysListCommand(output))
      .addCommand(keysRotateCommand(output))
      .addCommand(keysDestroyCommand(output)),
  );
  program.addCommand(group('hsm', 'tokens, before they are part of a fleet').addCommand(hsmProbeCommand(output)));
  program.addCommand(
    group('log', "a witness's public log of fleet statements")
      .addCommand(logVerifyCommand(output))
      .addCommand(logAuditCommand(output))
      .addCommand(logProveCommand(output)),
  );
  program.addCommand(group('receipt', 'what replicas signed of an attempt').addCommand(receiptVerifyCommand(output)));
  program.addCommand(
    group('ceremony', 'the making of a fleet before witnesses; `ceremony PLAN --out DIRECTORY` holds one')
      .addCommand(ceremonyHoldCommand(output), { isDefault: true })
      .addCommand(ceremonyKeyCommand(output))
      .addCommand(ceremonySignCommand(output))
      .addCommand(ceremonySealCommand(output)),
  );
  program.addCommand(group('evidence', 'what a ceremony left').addCommand(evidenceVerifyCommand(output)));
  program.addCommand(
    group('bundle', 'what a vault sends to apps').addCommand(bundleVerifyCommand(output)).addCommand(bundlePublishCommand(output)),
  );
  program.addCommand(group('replica', 'one replica').addCommand(replicaProvisionCommand(output)), { hidden: true });

  return program;
}

const group = (name: string, description: string): Command => new Command(name).description(description);

/** Runs the command and returns the exit code. */
export const run = (args: readonly string[], streams: Streams = process): Promise<number> =>
  runProgram('bkvctl', makeProgram, args, streams);
