import { mkdirSync } from 'node:fs';
import { Command } from 'commander';
import { loadConfig } from '../daemon/config.ts';
import { GuardStore } from '../daemon/ledger/guard-store.ts';
import { locationOf } from '../daemon/own-keys.ts';
import { initToken } from '../daemon/token/keys/init-token.ts';
import { provisionReplica, readReplica } from '../daemon/token/keys/provision.ts';
import { readPin } from '../fleet/signing-token/pin-file.ts';
import { VaultError } from '../primitives/errors.ts';
import { integer } from './arguments.ts';
import type { Output } from './output.ts';
import { tokenReading } from './token-reading.ts';

interface Options {
  readonly fleet: string;
  readonly config: string;
  readonly soPinFile?: string;
  readonly initToken?: true;
  readonly keepKeys?: true;
  readonly guardIncarnation: number;
  readonly epoch: number;
}

/** Not in the help: `fleet init` and `ceremony` run it, once for each replica. */
export const replicaProvisionCommand = (output: Output): Command =>
  new Command('provision')
    .description("make a replica's keys in its token, and its empty guard; print the public part")
    .requiredOption('--config <file>', "the replica's configuration")
    .requiredOption('--fleet <name>', 'its fleet, of which there is no statement yet')
    .option('--guard-incarnation <n>', 'how often its guard began anew, and once', integer, 1)
    .option('--epoch <n>', 'of the statement to come: which keys are in force', integer, 1)
    .option('--keep-keys', 'make nothing: print the public part of the keys that are there')
    .option('--init-token', 'initialise a blank token first, with --so-pin-file')
    .option('--so-pin-file <file>', 'the PIN that its security officer then gets')
    .action((options: Options) => provision(options, output));

async function provision({ fleet, epoch, ...options }: Options, output: Output): Promise<void> {
  const config = loadConfig(options.config);
  const location = locationOf(config, { fleet, epoch });
  const { profile, module, initParameters } = location;
  const { label, directory } = config.token;
  const pin = readPin(config.token.pin_file);
  if (options.keepKeys) return output.result(tokenReading(readReplica(location, pin)), 'read the keys');
  if (options.initToken) {
    if (options.soPinFile === undefined) throw new VaultError('CONFIG_INVALID', 'A blank token is initialised with --so-pin-file.');
    if (initParameters?.includes(directory)) mkdirSync(directory, { mode: 0o700 }); // the keys lie here, under the PIN
    initToken({ module, initParameters, profile, label, pin, soPin: readPin(options.soPinFile) });
  }
  const made = provisionReplica({ ...location, pin });
  await GuardStore.create(config.guard, { fleet, replica: config.replica, incarnation: options.guardIncarnation });
  output.result(tokenReading(made), 'made keys and guard');
}
