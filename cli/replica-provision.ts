import { mkdirSync } from 'node:fs';
import { Command } from 'commander';
import { loadConfig } from '../daemon/config.ts';
import { GuardStore } from '../daemon/ledger/guard-store.ts';
import { initToken } from '../daemon/token/init-token.ts';
import { initParametersFor, loadProfile, modulePath } from '../daemon/token/profile.ts';
import { provisionReplica, type Provisioned as TokenKeys } from '../daemon/token/provision.ts';
import type { Provisioned } from '../fleet/produce/statement.ts';
import { toHex } from '../primitives/bytes.ts';
import type { Output } from './output.ts';
import { readPin } from './pin-file.ts';

interface Options {
  readonly fleet: string;
  readonly config: string;
  readonly soPinFile: string;
  readonly initToken?: true;
}

/** Not in the help: `fleet init` runs it, once for each replica. */
export const replicaProvisionCommand = (output: Output): Command =>
  new Command('provision')
    .description("make a replica's keys in its token, and its empty guard; print the public part")
    .requiredOption('--config <file>', "the replica's configuration")
    .requiredOption('--fleet <name>', 'its fleet, of which there is no statement yet')
    .requiredOption('--so-pin-file <file>', "the security officer's PIN")
    .option('--init-token', 'initialise a blank token first')
    .action((options: Options) => provision(options, output));

async function provision({ fleet, ...options }: Options, output: Output): Promise<void> {
  const config = loadConfig(options.config);
  const profile = loadProfile(config.token.profile);
  const module = modulePath(profile, config.token.module);
  const pins = { pin: readPin(config.token.pin_file), soPin: readPin(options.soPinFile) };
  const { label, directory } = config.token;
  const initParameters = initParametersFor(profile, { directory, label });
  if (options.initToken) {
    if (initParameters?.includes(directory)) mkdirSync(directory, { mode: 0o700 }); // the keys lie here, under the PIN
    initToken({ module, initParameters, initialise: profile.initialise, label, ...pins });
  }
  const location = { profile, module, initParameters, tokenLabel: label, fleet, index: config.replica };
  const made = provisionReplica({ ...location, ...pins });
  await GuardStore.create(config.guard, { fleet, replica: config.replica, incarnation: 1 });
  output.result(publicPart(made, profile.sessionSuite), 'made keys and guard');
}

/** In the words of the fleet statement. */
function publicPart({ identity, keys }: TokenKeys, suite: Provisioned['session_suite']): Provisioned {
  const { sessionKey, receiptKey, ...token } = identity;
  return {
    session_key: toHex(sessionKey),
    session_suite: suite,
    receipt_key: toHex(receiptKey),
    token,
    key_attributes: Object.fromEntries(
      keys.map(({ name, label, attributes, allowedMechanisms }) => [
        name,
        { label, ...attributes, allowedMechanisms: allowedMechanisms.join(' ') },
      ]),
    ),
  };
}
