import { rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Command } from 'commander';
import { openProfile } from '../cli/arguments.ts';
import type { Output } from '../cli/output.ts';
import { initToken } from '../daemon/token/keys/init-token.ts';
import { modulePath } from '../daemon/token/profile.ts';
import { asCosigner, formatNoteKey } from '../fleet/log/note-key.ts';
import { Authority, validityFrom } from '../fleet/produce/authority.ts';
import { bundleSignerSubject } from '../fleet/produce/certificates.ts';
import { makeDirectory, PUBLIC, writeNew } from '../fleet/produce/files.ts';
import { readPin } from '../fleet/signing-token/pin-file.ts';
import { CONFIG_FILE, formatWitnessConfig, parseWitnessConfig, type WitnessConfig } from '../fleet/witness/config.ts';
import { PublishedLog } from '../fleet/witness/published-log.ts';
import { systemClock } from '../primitives/clock.ts';
import { VaultError } from '../primitives/errors.ts';
import { CERTIFICATE_FILE, directoryOf, keyLabels, withToken } from './open-witness.ts';

interface Options {
  readonly name: string;
  readonly profile: string;
  readonly module?: string;
  readonly tokenLabel: string;
  readonly pinFile: string;
  readonly initToken?: true;
  readonly soPinFile?: string;
}

export const initCommand = (output: Output): Command =>
  new Command('init')
    .description('make a witness: its keys in its token, certificates, an empty log; the one command that makes a log')
    .requiredOption('--name <host/path>', "the log's name: its URL without the scheme")
    .requiredOption('--token-label <label>', 'the token')
    .requiredOption('--pin-file <file>', "the token's PIN")
    .option('--profile <name>', 'the vendor: a file of hsm-config/, or a path', 'softhsm2')
    .option('--module <file>', "the PKCS#11 module (default: at the vendor's place)")
    .option('--init-token', 'initialise a blank token first')
    .option('--so-pin-file <file>', "the security officer's PIN, for --init-token")
    .action((options: Options, command: Command) => init(directoryOf(command), options, output));

async function init(directory: string, options: Options, output: Output): Promise<void> {
  const absolute = (path: string) => (path.includes('/') ? resolve(path) : path);
  const config = parseWitnessConfig(
    {
      name: options.name,
      token: {
        profile: absolute(options.profile),
        ...(options.module === undefined ? {} : { module: options.module }),
        label: options.tokenLabel,
        pin_file: resolve(options.pinFile),
      },
      operators: [],
      cosigners: [],
    },
    'What was given',
  );
  makeDirectory(directory);
  try {
    output.step('making keys, certificates and an empty log');
    if (options.initToken) blankToken(config, options.soPinFile);
    const keys = await makeInto(directory, config);
    output.result(
      { directory, name: config.name, ...keys },
      [
        `Made the witness ${config.name} in ${directory}, with an empty log.`,
        `Its log's key, for those who verify: ${keys.log_key}`,
        `Its key as a cosigner of other logs:  ${keys.cosigner_key}`,
        `Its certificate authority: ${join(directory, 'witness-ca.pem')}`,
      ].join('\n'),
    );
  } catch (error) {
    rmSync(directory, { recursive: true, force: true }); // ours: it did not exist before
    throw error;
  }
}

function makeInto(directory: string, config: WitnessConfig): Promise<{ log_key: string; cosigner_key: string }> {
  return withToken(config.token, async (token) => {
    const labels = keyLabels(config.name);
    const now = systemClock.now();
    const log = new PublishedLog(directory, config.name, token.make('ed25519', labels.log), () => []);
    const authority = await Authority.create(`${config.name} authority`, validityFrom(now));
    const { publicKey } = token.make('p256', labels.bundle);
    const write = (name: string, text: string) => writeNew(join(directory, name), text, PUBLIC);
    write(CERTIFICATE_FILE, await authority.certify(bundleSignerSubject(config.name), publicKey));
    write('witness-ca.pem', authority.certificate);
    const keys = { log_key: formatNoteKey(log.key), cosigner_key: formatNoteKey(asCosigner(log.key)) };
    write('log.vkey', `${keys.log_key}\n`);
    write('cosigner.vkey', `${keys.cosigner_key}\n`);
    write(CONFIG_FILE, formatWitnessConfig(config));
    log.make(now);
    return keys;
  });
}

function blankToken({ token }: WitnessConfig, soPinFile: string | undefined): void {
  if (soPinFile === undefined) throw new VaultError('CONFIG_INVALID', 'A blank token is initialised with --so-pin-file.');
  const profile = openProfile(token.profile);
  initToken({
    module: modulePath(profile, token.module),
    profile,
    label: token.label,
    soPin: readPin(soPinFile),
    pin: readPin(token.pin_file),
  });
}
